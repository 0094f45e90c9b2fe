#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// y = x * weight^T + bias, accumulated in f32.
// x: [..., in] bf16 or f32; weight: [out, in], same dtype; bias: [out] f32 or undefined.
// Returns [..., out] of `out_dtype` (f32 or bf16, rounded once).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Dtype out_dtype);

}  // namespace zimage::ops
