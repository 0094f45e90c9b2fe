#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace zimage::ops {

// Weights [out, in] in a format of their own (blocks of few bits with scales, sums of two formats),
// decoded where they are multiplied and never as a whole. A new format is one class. Immutable;
// several threads read at the same time.
class WeightRows {
 public:
  WeightRows() = default;
  WeightRows(const WeightRows&) = delete;
  WeightRows& operator=(const WeightRows&) = delete;
  virtual ~WeightRows() = default;

  virtual const Shape& shape() const = 0;  // [out, in]
  // Channels [channel, channel + n) of a row; any that are inside it.
  virtual void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
                      float* values) const = 0;
  // Floating-point operations of decoding all of it; 0 where numbers are only unpacked.
  virtual double decode_flop() const { return 0; }
  // What it holds.
  virtual std::vector<Tensor> tensors() const = 0;
  std::uint64_t bytes() const;  // of tensors()
};

// y = x * weight^T + bias, bit for bit linear(x, decoded(weight, x.dtype()), bias, out_dtype).
// x: [..., in] bf16 or f32; bias: [out] f32 or undefined. Returns [..., out] of `out_dtype`, f32 or
// bf16.
Tensor linear(const Tensor& x, const WeightRows& weight, const Tensor& bias, Dtype out_dtype);

// Returns [out, in] of `dtype`, f32 or bf16.
Tensor decoded(const WeightRows& weight, Dtype dtype);

// How often linear() decodes the `out` rows of a weight for so many rows of x: once for each strip
// of them, and more often where few rows of the weight are shared by many threads.
std::int64_t times_decoded(std::int64_t rows, std::int64_t out);

}  // namespace zimage::ops
