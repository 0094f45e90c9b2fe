#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// y = x / sqrt(mean(x^2) + eps) * weight (* scale) over the last axis, inside in f32.
// x: [..., dim] f32 or bf16; weight: [dim] f32; scale: [dim] f32 or undefined.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, Dtype out_dtype,
                const Tensor& scale = {});

// y = (x - mean) / sqrt(variance + eps) * scale over the last axis (biased variance, no shift).
// x: [..., dim] f32 or bf16; scale: [dim] f32 or undefined.
Tensor layer_norm(const Tensor& x, float eps, Dtype out_dtype, const Tensor& scale = {});

// torch's GroupNorm over channels and all pixels of one picture, then SiLU if asked.
// x: [height, width, channels] (or [pixels, channels]) bf16 or f32; weight, bias: [channels] f32;
// channels is a multiple of groups. Statistics in f64, y has x's shape and dtype.
Tensor group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                  bool with_silu);

}  // namespace zimage::ops
