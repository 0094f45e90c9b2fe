#pragma once

#include "core/tensor.h"
#include "cpu/bf16_speed.h"
#include "cpu/weighted_sum.h"

namespace zimage::cpu {

// ops/linear.h on the CPU: arguments checked, y allocated by the caller, nothing empty.
// x: [rows, in], y: [rows, out]. `path` counts for bf16 only.
void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path);

inline void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  linear(x, weight, bias, y, bf16_path());
}

// ops/weight_rows.h on the CPU: y: [..., out].
void linear(const Tensor& x, const DecodeRow& weight, const Tensor& bias, Tensor& y);
// y: [out, in] f32 or bf16.
void decode_rows(const DecodeRow& weight, Tensor& y);

}  // namespace zimage::cpu
