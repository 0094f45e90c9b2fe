// All that the engine asks of oneDNN. Every call runs on the calling thread alone: oneDNN chooses
// blocks, and with them the order of sums, by the number of threads, while results must not depend
// on it. Callers cut their work into tiles by the shape and spread them with parallel_for.
#pragma once

#include <cstdint>
#include <memory>

#include "core/dtype.h"
#include "cpu/conv_shape.h"

namespace zimage::cpu::onednn {

// y = x * w^T + bias, summed in f32, the weights used where they are.
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;  // each at least 1; x: [m, k], w: [n, k], y: [m, n]
  std::int64_t y_stride = 0;         // elements from one row of y to the next
  Dtype dtype = Dtype::kF32;         // of x and w; kBf16 needs has_bf16_instructions()
  Dtype y_dtype = Dtype::kF32;       // kBf16 only when dtype is
};

// bias: [n] or null.
void matmul(const Matmul& shape, const void* x, const void* w, const float* bias, void* y);

// Weights in an order of oneDNN's choice.
class PackedWeight;

// A convolution for many calls. Those that differ in nothing but height and padding may share their
// weights when can_use() says so. Several threads may call one at the same time.
class Convolution {
 public:
  // dtype: of x, weights and y; kBf16 needs has_bf16_instructions().
  Convolution(const ConvShape& shape, Dtype dtype, bool has_bias);

  std::shared_ptr<const PackedWeight> pack(const void* weight) const;
  bool can_use(const PackedWeight& weight) const;
  void operator()(const void* x, const PackedWeight& weight, const float* bias, void* y) const;

  struct Impl;

 private:
  std::shared_ptr<const Impl> impl_;
};

// A matrix in memory: element (i, j) at i * row_stride + j * column_stride, one of which is 1.
struct MatrixView {
  const void* data = nullptr;
  Dtype dtype = Dtype::kF32;
  std::int64_t row_stride = 0, column_stride = 1;
};

enum class Epilogue { kStore, kAddBias, kAccumulate };

// y = x * w^T (+ bias, or + y) with packed weights, for many calls. x: [m, k], y: [m, n] f32, both
// dense; w: [n, k]. Near the peak on f32, where matmul is not, while the weights fit the L2 cache.
class Product {
 public:
  // dtype: of x and the packed w; kBf16 needs has_bf16_instructions().
  Product(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype, Epilogue epilogue);

  // Widens bf16 weights when dtype is f32. Fits every Product that differs in m or epilogue only.
  std::shared_ptr<const PackedWeight> pack(const MatrixView& w) const;
  void operator()(const void* x, const PackedWeight& w, const float* bias, float* y) const;

 private:
  std::int64_t n_ = 0, k_ = 0;
  std::shared_ptr<const Convolution::Impl> impl_;
};

}  // namespace zimage::cpu::onednn
