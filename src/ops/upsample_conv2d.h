#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// Each pixel twice in both directions, then a 3x3 convolution as torch's Conv2d with padding 1, for
// 4/9 of its cost: the nine taps of an output pixel fall on 2 x 2 pixels of x. Accumulated in f32.
// x: [height, width, in] bf16 or f32; weight: [4, out, 2, 2, in] of upsample_weight_from_torch(),
// same dtype; bias: [out] f32 or undefined. Returns [2 * height, 2 * width, out] of x's dtype.
Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias);

// torch's [out, in, 3, 3] of any floating-point dtype to the weights of the pixels (even, even),
// (even, odd), (odd, even) and (odd, odd): taps that fall on one pixel are added in f32 and rounded
// to `dtype` once.
Tensor upsample_weight_from_torch(const Tensor& weight, Dtype dtype);

}  // namespace zimage::ops
