#pragma once

#include "core/tensor.h"
#include "cpu/bf16_speed.h"
#include "cpu/conv_shape.h"

namespace zimage::cpu {

// The words of x that a convolution holds at a time, or those of a row of windows if they are more.
inline constexpr std::int64_t kConvStripWords = std::int64_t{2} << 20;

// ops/conv2d.h on the CPU: arguments checked, y allocated by the caller, nothing empty. `path`
// counts for bf16 only.
void conv2d(const ConvShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            Tensor& y, Bf16Path path);

inline void conv2d(const ConvShape& shape, const Tensor& x, const Tensor& weight,
                   const Tensor& bias, Tensor& y) {
  conv2d(shape, x, weight, bias, y, bf16_path());
}

// ops/upsample_conv2d.h in the same way.
void upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y,
                     Bf16Path path);

inline void upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  upsample_conv2d(x, weight, bias, y, bf16_path());
}

}  // namespace zimage::cpu
