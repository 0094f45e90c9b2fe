#pragma once

#include <cstdint>

#include "cpu/dispatch.h"

namespace zimage::cpu {

// Channels [channel, channel + n) of a row of weights as MLX packs them (ops/mlx.h).
struct MlxRow {
  const std::uint32_t* words;  // of the whole row
  std::int64_t group_size;     // channels, a multiple of 32
  const float* scales;         // of the groups from the first channel's on
  const float* biases;         // the same; not of 4-bit floats
  std::int64_t channel, n;
  float* y;  // [n]
};

// A group of weights to be packed, `n` a multiple of 32.
struct MlxGroup {
  const float* x;  // [n]
  std::int64_t n;
  float scale, bias;
  std::uint32_t* words;
};

struct MlxKernels {
  // y = code * scale + bias, each of the two operations rounded.
  void (*decode_affine4)(const MlxRow& row);
  void (*decode_affine8)(const MlxRow& row);
  void (*decode_fp4)(const MlxRow& row);  // y = value of the code * scale
  // The nearest codes.
  void (*encode_affine4)(const MlxGroup& group);
  void (*encode_affine8)(const MlxGroup& group);
  void (*encode_fp4)(const MlxGroup& group);
};

ZIMAGE_KERNELS(MlxKernels, mlx_kernels);

}  // namespace zimage::cpu
