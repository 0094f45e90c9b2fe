#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// x, y: [tokens, heads, head_dim], f32 or bf16; cos, sin: [tokens, head_dim / 2].
struct RopeArgs {
  const void* x;
  void* y;
  Dtype dtype;
  std::int64_t heads;
  std::int64_t head_dim;
  const float* weight;  // [head_dim], or null for no norm
  float eps;
  const float* cos;
  const float* sin;
  bool is_interleaved;  // pairs (2i, 2i+1), else (i, i + head_dim / 2)
};

struct RopeKernels {
  void (*rms_norm_rope)(const RopeArgs& args, std::int64_t token_begin, std::int64_t token_end);
};

ZIMAGE_KERNELS(RopeKernels, rope_kernels);

}  // namespace zimage::cpu
