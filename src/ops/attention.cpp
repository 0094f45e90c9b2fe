#include "ops/attention.h"

#include "core/check.h"
#include "cpu/attention.h"
#include "ops/check_dtype.h"

namespace zimage::ops {
namespace {

void check_operands(const Tensor& q, const Tensor& k, const Tensor& v) {
  check_computable("attention", "q", q.dtype());
  check(k.dtype() == q.dtype() && v.dtype() == q.dtype(), "attention: q is ", q.dtype(), ", k ",
        k.dtype(), ", v ", v.dtype(), ", expected one dtype");
  check(q.rank() == 3 && q.dim(1) > 0 && q.dim(2) > 0, "attention: q is ", q.shape(),
        ", expected [queries, heads, d]");
  check(k.rank() == 3 && k.dim(0) > 0 && k.dim(1) > 0 && k.dim(2) == q.dim(2), "attention: k ",
        k.shape(), " does not fit q ", q.shape());
  check(v.shape() == k.shape(), "attention: v ", v.shape(), " does not fit k ", k.shape());
  check(q.dim(1) % k.dim(1) == 0, "attention: the ", q.dim(1),
        " heads of q are no multiple of the ", k.dim(1), " heads of k");
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal) {
  check_operands(q, k, v);
  check(!is_causal || q.dim(0) == k.dim(0), "attention: causal with ", q.dim(0), " queries and ",
        k.dim(0), " keys, expected as many");

  Tensor y = empty(q.shape(), q.dtype());
  if (y.numel() > 0) cpu::attention(q, k, v, scale, is_causal, y);
  return y;
}

}  // namespace zimage::ops
