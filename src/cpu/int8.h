#pragma once

#include "core/tensor.h"

namespace zimage::cpu {

// ops/int8.h on the CPU: arguments checked, results allocated by the caller, nothing empty.
void quantize_int8(const Tensor& weight, int rotation, Tensor& values, Tensor& scales);
void dequantize_int8(const Tensor& values, const Tensor& scales, int rotation, Tensor& y);
void linear_int8(const Tensor& x, const Tensor& values, const Tensor& scales, int rotation,
                 const Tensor& bias, Tensor& y);

}  // namespace zimage::cpu
