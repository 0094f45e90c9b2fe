#include "ops/conv2d.h"

#include <cstring>

#include "core/check.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "cpu/conv2d.h"
#include "ops/check_dtype.h"

namespace zimage::ops {
namespace {

void check_operands(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_computable("conv2d", "x", x.dtype());
  check(x.rank() == 3, "conv2d: x is ", x.shape(), ", expected [height, width, in]");
  check(weight.rank() == 4 && weight.numel() > 0 && weight.dim(3) == x.dim(2), "conv2d: weight ",
        weight.shape(), " does not fit x ", x.shape());
  check(weight.dtype() == x.dtype(), "conv2d: weight is ", weight.dtype(), ", x is ", x.dtype());
  if (bias.defined()) {
    check(bias.shape() == Shape{weight.dim(0)}, "conv2d: bias ", bias.shape(),
          " does not fit weight ", weight.shape());
    check(bias.dtype() == Dtype::kF32, "conv2d: bias is ", bias.dtype(), ", expected F32");
  }
}

void check_options(const Conv2dOptions& o, const Tensor& weight) {
  check(o.stride > 0, "conv2d: stride is ", o.stride, ", expected at least 1");
  for (const int pad : {o.pad_top, o.pad_bottom}) {
    check(pad >= 0 && pad < weight.dim(1), "conv2d: a padding of ", pad,
          " rows does not fit weight ", weight.shape());
  }
  for (const int pad : {o.pad_left, o.pad_right}) {
    check(pad >= 0 && pad < weight.dim(2), "conv2d: a padding of ", pad,
          " columns does not fit weight ", weight.shape());
  }
}

cpu::ConvShape shape_of(const Tensor& x, const Tensor& weight, const Conv2dOptions& o) {
  cpu::ConvShape shape{.height = x.dim(0),
                       .width = x.dim(1),
                       .in = x.dim(2),
                       .out = weight.dim(0),
                       .kernel_height = weight.dim(1),
                       .kernel_width = weight.dim(2),
                       .stride = o.stride,
                       .pad_top = o.pad_top,
                       .pad_left = o.pad_left,
                       .pad_bottom = o.pad_bottom,
                       .pad_right = o.pad_right};
  const std::int64_t spare_height = shape.height + o.pad_top + o.pad_bottom - shape.kernel_height;
  const std::int64_t spare_width = shape.width + o.pad_left + o.pad_right - shape.kernel_width;
  check(shape.height > 0 && shape.width > 0 && spare_height >= 0 && spare_width >= 0, "conv2d: x ",
        x.shape(), " is smaller than the kernel of weight ", weight.shape());
  shape.out_height = spare_height / o.stride + 1;
  shape.out_width = spare_width / o.stride + 1;
  return shape;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options) {
  check_operands(x, weight, bias);
  check_options(options, weight);
  const cpu::ConvShape shape = shape_of(x, weight, options);

  Tensor y = empty({shape.out_height, shape.out_width, shape.out}, x.dtype());
  const std::int64_t window = weight.numel() / shape.out;
  const profile::Op op("conv2d", {x.dim(0), x.dim(1), x.dim(2), shape.out, weight.dim(1)},
                       profile::work(2.0 * y.numel() * window, weight, x, y));
  cpu::conv2d(shape, x, weight, bias, y);
  return y;
}

Tensor conv_weight_from_torch(const Tensor& weight) {
  check(weight.rank() == 4, "conv_weight_from_torch: weight is ", weight.shape(),
        ", expected [out, in, kernel_h, kernel_w]");
  const std::int64_t out = weight.dim(0), in = weight.dim(1);
  const std::int64_t taps = weight.dim(2) * weight.dim(3);
  const std::size_t size = size_of(weight.dtype());

  Tensor result = empty({out, weight.dim(2), weight.dim(3), in}, weight.dtype());
  parallel_for(out, [&](std::int64_t o) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t i = 0; i < in; ++i) {
        std::memcpy(result.raw() + ((o * taps + tap) * in + i) * size,
                    weight.raw() + ((o * in + i) * taps + tap) * size, size);
      }
    }
  });
  return result;
}

}  // namespace zimage::ops
