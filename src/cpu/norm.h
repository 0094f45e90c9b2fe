#pragma once

#include "core/tensor.h"

// The norms of ops/norm.h on the CPU: arguments checked, results allocated by the caller.
namespace zimage::cpu {

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& scale, Tensor& y);
void layer_norm(const Tensor& x, float eps, const Tensor& scale, Tensor& y);
void group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                bool with_silu, Tensor& y);

}  // namespace zimage::cpu
