// All that the engine asks of oneDNN. Every call runs on the calling thread alone: oneDNN chooses
// blocks, and with them the order of sums, by the number of threads, while results must not depend
// on it. Callers cut their work into tiles by the shape and spread them with parallel_for.
#pragma once

#include <cstdint>
#include <memory>

#include "core/dtype.h"
#include "cpu/conv_shape.h"

namespace zimage::cpu::onednn {

// C = A * B + bias (+ C), summed in f32. Strides are the elements from one row to the next.
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;  // each at least 1
  std::int64_t a_stride = 0;         // A: [m, k]
  std::int64_t b_stride = 0;         // B: [k, n], or [n, k] when transposed
  std::int64_t c_stride = 0;         // C: [m, n]
  bool b_is_transposed = false;
  Dtype in = Dtype::kF32;   // of A and B; kBf16 needs has_bf16_instructions()
  Dtype out = Dtype::kF32;  // of C; kBf16 only when `in` is
  bool accumulates = false;
};

// bias: [n] or null.
void matmul(const Matmul& shape, const void* a, const void* b, const float* bias, void* c);

// Weights in an order of oneDNN's choice. Convolutions that differ in nothing but height and
// padding may share them when can_use() says so.
class PackedWeight;

class Convolution {
 public:
  // dtype: of x, weights and y; kBf16 needs has_bf16_instructions().
  Convolution(const ConvShape& shape, Dtype dtype, bool has_bias);

  std::shared_ptr<const PackedWeight> pack(const void* weight) const;
  bool can_use(const PackedWeight& weight) const;
  // bias: f32, or null when made without. Several threads may call it at the same time.
  void operator()(const void* x, const PackedWeight& weight, const float* bias, void* y) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace zimage::cpu::onednn
