#include "ops/weight_rows.h"

#include "core/profile.h"
#include "cpu/linear.h"
#include "cpu/matmul.h"
#include "ops/linear_result.h"

namespace zimage::ops {
namespace {

cpu::DecodeRow decoder(const WeightRows& weight) {
  return [&weight](std::int64_t row, std::int64_t channel, std::int64_t n, float* values) {
    weight.decode(row, channel, n, values);
  };
}

}  // namespace

std::uint64_t WeightRows::bytes() const {
  std::uint64_t sum = 0;
  for (const Tensor& tensor : tensors()) sum += tensor.bytes();
  return sum;
}

Tensor linear(const Tensor& x, const WeightRows& weight, const Tensor& bias, Dtype out_dtype) {
  Tensor y = linear_result(x, weight.shape(), bias, out_dtype);
  const std::int64_t in = x.dim(-1), out = weight.shape()[0], rows = x.numel() / in;
  profile::Work work = profile::work(2.0 * rows * in * out, x, y);
  work.flop += static_cast<double>(times_decoded(rows, out)) * weight.decode_flop();
  work.bytes += static_cast<double>(weight.bytes());
  const profile::Op op("linear", {rows, in, out}, work);
  if (y.numel() > 0) cpu::linear(x, decoder(weight), bias, y);
  return y;
}

Tensor decoded(const WeightRows& weight, Dtype dtype) {
  check_computable("decoded", "the result", dtype);
  Tensor y = empty(weight.shape(), dtype);
  if (y.numel() > 0) cpu::decode_rows(decoder(weight), y);
  return y;
}

std::int64_t times_decoded(std::int64_t rows, std::int64_t out) {
  return cpu::times_loaded(rows, out, cpu::kLinearStripRows);
}

}  // namespace zimage::ops
