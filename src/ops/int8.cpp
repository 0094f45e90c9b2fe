#include "ops/int8.h"

#include "core/check.h"
#include "core/profile.h"
#include "cpu/int8.h"
#include "ops/linear_result.h"

namespace zimage::ops {
namespace {

constexpr int kLongestRotation = 256;
constexpr std::int64_t kMostChannels = 65536;  // of which sums of products fit 32 bits

bool is_power_of_four(int n) {
  for (; n > 1 && n % 4 == 0; n /= 4) {
  }
  return n == 1;
}

void check_rotation(std::string_view op, std::int64_t in, int rotation) {
  check(in > 0 && in % 4 == 0 && in <= kMostChannels, op, ": rows of ", in,
        " channels, expected a multiple of 4 up to ", kMostChannels);
  check(is_int8_rotation(rotation, in), op, ": a rotation of ", rotation,
        ", expected a power of 4 that divides the ", in, " channels");
}

void check_weight(std::string_view op, const Int8Matrix& w) {
  check(w.values.rank() == 2 && w.values.dtype() == Dtype::kI8, op, ": weight is ",
        w.values.shape(), " ", w.values.dtype(), ", expected [out, in] I8");
  check(w.scales.shape() == Shape{w.values.dim(0)} && w.scales.dtype() == Dtype::kF32, op,
        ": scales are ", w.scales.shape(), " ", w.scales.dtype(), ", expected [", w.values.dim(0),
        "] F32");
  check_rotation(op, w.values.dim(1), w.rotation);
}

}  // namespace

bool is_int8_rotation(int rotation, std::int64_t channels) {
  return rotation > 0 && is_power_of_four(rotation) && channels > 0 && channels % 4 == 0 &&
         channels % rotation == 0;
}

int int8_rotation(std::int64_t channels) {
  int rotation = kLongestRotation;
  while (channels % rotation != 0) rotation /= 4;
  return rotation;
}

Int8Matrix quantize_int8(const Tensor& weight, int rotation) {
  check_computable("quantize_int8", "weight", weight.dtype());
  check(weight.rank() == 2, "quantize_int8: weight is ", weight.shape(), ", expected [out, in]");
  check_rotation("quantize_int8", weight.dim(1), rotation);

  Int8Matrix result{.values = empty(weight.shape(), Dtype::kI8),
                    .scales = empty({weight.dim(0)}),
                    .rotation = rotation};
  cpu::quantize_int8(weight, rotation, result.values, result.scales);
  return result;
}

Tensor dequantize(const Int8Matrix& weight, Dtype dtype) {
  check_weight("dequantize", weight);
  check_computable("dequantize", "the result", dtype);

  Tensor y = empty(weight.shape(), dtype);
  cpu::dequantize_int8(weight.values, weight.scales, weight.rotation, y);
  return y;
}

Tensor linear(const Tensor& x, const Int8Matrix& weight, const Tensor& bias, Dtype out_dtype) {
  check_weight("linear", weight);
  Tensor y = linear_result(x, weight.shape(), bias, out_dtype);
  const std::int64_t in = x.dim(-1), out = weight.shape()[0], rows = x.numel() / in;
  const profile::Op op("linear", {rows, in, out},
                       profile::work(2.0 * rows * in * out, weight.values, x, y));
  if (y.numel() > 0) {
    cpu::linear_int8(x, weight.values, weight.scales, weight.rotation, bias, y);
  }
  return y;
}

}  // namespace zimage::ops
