#include "ops/linear.h"

#include "core/check.h"
#include "core/profile.h"
#include "cpu/linear.h"
#include "ops/check_dtype.h"

namespace zimage::ops {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Dtype out_dtype) {
  check_computable("linear", "x", x.dtype());
  check_computable("linear", "the result", out_dtype);
  check(weight.rank() == 2 && x.rank() > 0 && x.dim(-1) == weight.dim(1) && x.dim(-1) > 0,
        "linear: weight ", weight.shape(), " does not fit x ", x.shape());
  check(weight.dtype() == x.dtype(), "linear: weight is ", weight.dtype(), ", x is ", x.dtype());
  const std::int64_t out = weight.dim(0);
  if (bias.defined()) {
    check(bias.shape() == Shape{out}, "linear: bias ", bias.shape(), " does not fit weight ",
          weight.shape());
    check(bias.dtype() == Dtype::kF32, "linear: bias is ", bias.dtype(), ", expected F32");
  }

  Shape shape = x.shape();
  shape[-1] = out;
  Tensor y = empty(shape, out_dtype);
  const std::int64_t in = x.dim(-1), rows = x.numel() / in;
  const profile::Op op("linear", {rows, in, out},
                       profile::work(2.0 * rows * in * out, weight, x, y));
  if (y.numel() > 0) cpu::linear(x, weight, bias, y);
  return y;
}

}  // namespace zimage::ops
