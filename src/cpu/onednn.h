// All that the engine asks of oneDNN. Every call runs on the calling thread alone: oneDNN chooses
// blocks, and with them the order of sums, by the number of threads, while results must not depend
// on it. Callers cut their work into tiles by the shape and spread them with parallel_for.
#pragma once

#include <cstdint>

#include "core/dtype.h"

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

}  // namespace zimage::cpu::onednn
