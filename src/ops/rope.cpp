#include "ops/rope.h"

#include "core/check.h"
#include "core/profile.h"
#include "cpu/rope.h"
#include "ops/check_dtype.h"

namespace zimage::ops {

Tensor rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const RopeTable& table,
                     RopePairs pairs) {
  check_computable("rms_norm_rope", "x", x.dtype());
  check(x.rank() == 3 && x.dim(2) > 0 && x.dim(2) % 2 == 0, "rms_norm_rope: x is ", x.shape(),
        ", expected [tokens, heads, d] with even d");
  if (weight.defined()) {
    check(weight.shape() == Shape{x.dim(2)}, "rms_norm_rope: weight ", weight.shape(),
          " does not fit x ", x.shape());
    check(weight.dtype() == Dtype::kF32, "rms_norm_rope: weight is ", weight.dtype(),
          ", expected F32");
  }
  const Shape angles{x.dim(0), x.dim(2) / 2};
  check(table.cos.shape() == angles && table.sin.shape() == angles, "rms_norm_rope: cos ",
        table.cos.shape(), " and sin ", table.sin.shape(), " do not fit x ", x.shape());
  check(table.cos.dtype() == Dtype::kF32 && table.sin.dtype() == Dtype::kF32,
        "rms_norm_rope: cos is ", table.cos.dtype(), " and sin ", table.sin.dtype(),
        ", expected F32");

  Tensor y = empty(x.shape(), x.dtype());
  const profile::Op op("rms_norm_rope", {x.dim(0), x.dim(1), x.dim(2)}, profile::work(0, x, y));
  cpu::rms_norm_rope(x, weight, eps, table.cos, table.sin, pairs == RopePairs::kInterleaved, y);
  return y;
}

}  // namespace zimage::ops
