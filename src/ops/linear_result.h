#pragma once

#include "core/check.h"
#include "core/tensor.h"
#include "ops/check_dtype.h"

namespace zimage::ops {

// Checks what linear() asks of x, bias and out_dtype for weights [out, in] of any format. Returns
// y, not yet computed.
inline Tensor linear_result(const Tensor& x, const Shape& weight, const Tensor& bias,
                            Dtype out_dtype) {
  check_computable("linear", "x", x.dtype());
  check_computable("linear", "the result", out_dtype);
  check(weight.rank() == 2 && x.rank() > 0 && x.dim(-1) == weight[1] && x.dim(-1) > 0,
        "linear: weight ", weight, " does not fit x ", x.shape());
  if (bias.defined()) {
    check(bias.shape() == Shape{weight[0]}, "linear: bias ", bias.shape(), " does not fit weight ",
          weight);
    check(bias.dtype() == Dtype::kF32, "linear: bias is ", bias.dtype(), ", expected F32");
  }
  Shape shape = x.shape();
  shape[-1] = weight[0];
  return empty(shape, out_dtype);
}

}  // namespace zimage::ops
