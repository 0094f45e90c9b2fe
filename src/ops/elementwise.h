#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// x as F32 or BF16; x itself when it has that dtype. From F32, BF16, F16, F64, F8_E4M3 (torch's
// float8_e4m3fn) or F8_E5M2; rounded to nearest even, F64 by way of F32 as in torch.
Tensor cast(const Tensor& x, Dtype dtype);

// silu(gate) * up, inside in f32. Both [..., dim] of one dtype, which is also the result's.
Tensor silu_mul(const Tensor& gate, const Tensor& up);
Tensor silu(const Tensor& x);  // f32 or bf16
Tensor tanh(const Tensor& x);  // f32 or bf16

// x + y, f32 or bf16 (sum in f32).
Tensor add(const Tensor& x, const Tensor& y);
// x + gate * y. x, y: [tokens, dim] f32; gate: [dim] f32.
Tensor add_gated(const Tensor& x, const Tensor& y, const Tensor& gate);

// Row ids[i] of table: [rows, dim] f32 or bf16. Returns [ids, dim] f32.
Tensor gather_rows(const Tensor& table, const Tensor& ids_i32);

bool all_finite(const Tensor& x);  // f32 or bf16

}  // namespace zimage::ops
