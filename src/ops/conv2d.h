#pragma once

#include "core/tensor.h"

namespace zimage::ops {

struct Conv2dOptions {
  int stride = 1;
  // Zero rows and columns around the image.
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

// Cross-correlation as torch's Conv2d, accumulated in f32.
// x: [height, width, in] (NHWC, one picture) bf16 or f32; weight: [out, kernel_h, kernel_w, in],
// same dtype; bias: [out] f32 or undefined. Returns [out_h, out_w, out] of x's dtype.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options);

// torch's [out, in, kernel_h, kernel_w] to the layout of conv2d.
Tensor conv_weight_from_torch(const Tensor& weight);

}  // namespace zimage::ops
