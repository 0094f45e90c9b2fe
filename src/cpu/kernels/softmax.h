#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// Softmax over keys that arrive in blocks. Of every row it keeps the largest score so far, the sum
// of 2^(score - largest) and, divided by nothing yet, the output for the keys so far.
struct SoftmaxBlock {
  float* scores;        // [rows, keys], rows `stride` apart: q k^T not yet scaled
  void* weights;        // as scores: 2^(scaled score - largest); may be `scores` when f32
  Dtype weights_dtype;  // F32 or BF16
  std::int64_t rows, keys, stride;
  std::int64_t visible;  // row i sees the first visible + i keys of the block, at most all of them
  float scale;           // that of the attention times log2(e)
  float *largest, *sum;  // [rows], before the first block -infinity and 0
  float* output;         // [rows, dim], rows output_stride apart, scaled down where `largest` grows
  std::int64_t dim, output_stride;
};

struct SoftmaxKernels {
  void (*block)(const SoftmaxBlock& block);
  // y[i] = output[i] / sum[i] for each row; rows of y `stride` elements apart.
  void (*divide)(const SoftmaxBlock& block, void* y, Dtype y_dtype, std::int64_t stride);
};

ZIMAGE_KERNELS(SoftmaxKernels, softmax_kernels);

}  // namespace zimage::cpu
