#pragma once

#include "core/tensor.h"

// The functions of ops/elementwise.h on the CPU: arguments checked, results allocated by the
// caller.
namespace zimage::cpu {

void cast(const Tensor& x, Tensor& y);
void silu_mul(const Tensor& gate, const Tensor& up, Tensor& y);
void silu(const Tensor& x, Tensor& y);
void tanh(const Tensor& x, Tensor& y);
void add(const Tensor& x, const Tensor& y, Tensor& sum);
void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, Tensor& sum);
void gather_rows(const Tensor& table, const Tensor& ids_i32, Tensor& rows);
bool all_finite(const Tensor& x);

}  // namespace zimage::cpu
