#include "ops/linear.h"

#include "core/profile.h"
#include "cpu/linear.h"
#include "ops/linear_result.h"

namespace zimage::ops {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Dtype out_dtype) {
  Tensor y = linear_result(x, weight.shape(), bias, out_dtype);
  check(weight.dtype() == x.dtype(), "linear: weight is ", weight.dtype(), ", x is ", x.dtype());
  const std::int64_t in = x.dim(-1), out = weight.dim(0), rows = x.numel() / in;
  const profile::Op op("linear", {rows, in, out},
                       profile::work(2.0 * rows * in * out, weight, x, y));
  if (y.numel() > 0) cpu::linear(x, weight, bias, y);
  return y;
}

}  // namespace zimage::ops
