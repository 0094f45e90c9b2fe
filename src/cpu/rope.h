#pragma once

#include "core/tensor.h"

namespace zimage::cpu {

// ops/rope.h on the CPU: arguments checked, result allocated by the caller. cos, sin: [tokens, d /
// 2].
void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const Tensor& cos,
                   const Tensor& sin, bool is_interleaved, Tensor& y);

}  // namespace zimage::cpu
