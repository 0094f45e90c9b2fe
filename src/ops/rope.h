#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// cos and sin of every token's rotation angles: [tokens, head_dim / 2] f32 each.
struct RopeTable {
  Tensor cos, sin;
};

enum class RopePairs {
  kInterleaved,  // channels (2i, 2i+1) turn together: the diffusion transformer
  kHalves,       // channels (i, i + d/2) turn together: Qwen3
};

// RMSNorm of every head (skipped when weight is undefined), then the rotation; inside in f32.
// x: [tokens, heads, d] bf16 or f32; weight: [d] f32. Returns the shape and dtype of x.
Tensor rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& table,
                     RopePairs pairs);

}  // namespace zimage::ops
