#pragma once

#include "core/tensor.h"
#include "cpu/bf16_speed.h"

namespace zimage::cpu {

// ops/linear.h on the CPU: arguments checked, y allocated by the caller, nothing empty.
// x: [rows, in], y: [rows, out]. `path` counts for bf16 only.
void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path);

inline void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  linear(x, weight, bias, y, bf16_path());
}

}  // namespace zimage::cpu
