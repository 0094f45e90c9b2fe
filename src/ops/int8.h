#pragma once

#include "core/tensor.h"

namespace zimage::ops {

// Weights [out, in] in eight bits, as ComfyUI's int8_tensorwise with convrot has them: row o is
// scales[o] * values[o], turned by the regular Hadamard matrix in groups of `rotation` channels.
// The matrix is the Kronecker power of the rows (1, 1, 1, -1), (1, 1, -1, 1), (1, -1, 1, 1), (-1,
// 1, 1, 1) over sqrt(rotation); it is symmetric and its own inverse. Turned rows have no outliers:
// each value is a mean of many.
struct Int8Matrix {
  Tensor values;     // [out, in] I8
  Tensor scales;     // [out] F32
  int rotation = 1;  // a power of four that divides in; 1: the rows are as they were

  const Shape& shape() const { return values.shape(); }
};

// The largest power of four up to 256 that divides `channels`.
int int8_rotation(std::int64_t channels);

// Whether rows of so many channels can be turned in groups of `rotation`: it is a power of four
// that divides them, and they are a multiple of 4.
bool is_int8_rotation(int rotation, std::int64_t channels);

// weight: [out, in] f32 or bf16, in a multiple of 4. The largest magnitude of a row becomes 127. A
// row that is not finite gets NaN for its scale.
Int8Matrix quantize_int8(const Tensor& weight, int rotation);

// As it was before, up to the rounding. Returns [out, in] of `dtype`, f32 or bf16.
Tensor dequantize(const Int8Matrix& weight, Dtype dtype);

// y = x * weight^T + bias with x quantised as the weights are, row by row; summed in integers.
// x: [..., in] f32 or bf16; bias: [out] f32 or undefined. Returns [..., out] of `out_dtype` (f32 or
// bf16). A row of x that is not finite gives a row of NaN.
Tensor linear(const Tensor& x, const Int8Matrix& weight, const Tensor& bias, Dtype out_dtype);

}  // namespace zimage::ops
