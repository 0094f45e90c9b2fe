#pragma once

#include "core/tensor.h"

namespace zimage::cpu {

// ops/mlx.h on the CPU: arguments checked, results allocated by the caller.

// A piece of a row of weights.
struct MlxPiece {
  std::int64_t row, channel, n;
  std::int64_t group_size = 32;
};
void decode_affine(const Tensor& words, const Tensor& scales, const Tensor& biases,
                   const MlxPiece& piece, float* values);
void decode_mxfp4(const Tensor& words, const Tensor& scales, const MlxPiece& piece, float* values);

// weight: [out, in] f32.
void quantize_affine(const Tensor& weight, int bits, std::int64_t group_size, Tensor& words,
                     Tensor& scales, Tensor& biases);
void quantize_mxfp4(const Tensor& weight, Tensor& words, Tensor& scales);

}  // namespace zimage::cpu
