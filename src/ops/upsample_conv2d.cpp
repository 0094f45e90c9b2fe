#include "ops/upsample_conv2d.h"

#include "core/check.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "cpu/conv2d.h"
#include "ops/check_dtype.h"
#include "ops/elementwise.h"

namespace zimage::ops {
namespace {

void check_operands(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_computable("upsample_conv2d", "x", x.dtype());
  check(x.rank() == 3 && x.numel() > 0, "upsample_conv2d: x is ", x.shape(),
        ", expected [height, width, in]");
  check(weight.rank() == 5 && weight.numel() > 0 &&
            weight.shape() == Shape{4, weight.dim(1), 2, 2, x.dim(2)},
        "upsample_conv2d: weight ", weight.shape(), " does not fit x ", x.shape());
  check(weight.dtype() == x.dtype(), "upsample_conv2d: weight is ", weight.dtype(), ", x is ",
        x.dtype());
  if (!bias.defined()) return;
  check(bias.shape() == Shape{weight.dim(1)}, "upsample_conv2d: bias ", bias.shape(),
        " does not fit weight ", weight.shape());
  check(bias.dtype() == Dtype::kF32, "upsample_conv2d: bias is ", bias.dtype(), ", expected F32");
}

// The sum of the taps of a 3x3 kernel that fall on pixel (row, column) of the 2 x 2 seen.
float sum_of_taps(const float* kernel, int row_odd, int column_odd, int row, int column) {
  // Along one direction: tap 0 | taps 1 and 2 for an even pixel, taps 0 and 1 | tap 2 for an odd.
  const auto begin = [](int odd, int at) { return at == 0 ? 0 : 1 + odd; };
  const auto end = [](int odd, int at) { return at == 0 ? 1 + odd : 3; };
  float sum = 0;
  for (int i = begin(row_odd, row); i < end(row_odd, row); ++i) {
    for (int j = begin(column_odd, column); j < end(column_odd, column); ++j) {
      sum += kernel[3 * i + j];
    }
  }
  return sum;
}

}  // namespace

Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_operands(x, weight, bias);

  const std::int64_t in = x.dim(2), out = weight.dim(1);
  Tensor y = empty({2 * x.dim(0), 2 * x.dim(1), out}, x.dtype());
  const profile::Op op("upsample_conv2d", {x.dim(0), x.dim(1), in, out},
                       profile::work(2.0 * y.numel() * 4 * in, weight, x, y));
  cpu::upsample_conv2d(x, weight, bias, y);
  return y;
}

Tensor upsample_weight_from_torch(const Tensor& weight, Dtype dtype) {
  check(weight.rank() == 4 && weight.dim(2) == 3 && weight.dim(3) == 3,
        "upsample_weight_from_torch: weight is ", weight.shape(), ", expected [out, in, 3, 3]");
  const Tensor kernels = cast(weight, Dtype::kF32);
  const std::int64_t out = weight.dim(0), in = weight.dim(1);
  Tensor sums = empty({4, out, 2, 2, in});
  parallel_for(4 * out, [&](std::int64_t task) {
    const int phase = static_cast<int>(task / out);
    const float* kernel = kernels.data<float>() + task % out * in * 9;
    float* to = sums.data<float>() + task * 4 * in;
    for (int tap = 0; tap < 4; ++tap) {
      for (std::int64_t i = 0; i < in; ++i) {
        to[tap * in + i] = sum_of_taps(kernel + 9 * i, phase / 2, phase % 2, tap / 2, tap % 2);
      }
    }
  });
  return cast(sums, dtype);
}

}  // namespace zimage::ops
