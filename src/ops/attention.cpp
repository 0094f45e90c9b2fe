#include "ops/attention.h"

#include "core/check.h"
#include "core/profile.h"
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
  const AttentionRows all{q.dim(0), k.dim(0)};
  return attention(q, k, v, scale, is_causal, {&all, 1});
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
                 std::span<const AttentionRows> sequences) {
  check_operands(q, k, v);
  AttentionRows sum{0, 0};
  double pairs = 0;  // of a query and a key; a causal query sees half of them
  for (const auto& [queries, keys] : sequences) {
    check(queries >= 0 && keys > 0, "attention: a sequence of ", queries, " queries and ", keys,
          " keys");
    check(!is_causal || queries == keys, "attention: causal with ", queries, " queries and ", keys,
          " keys, expected as many");
    sum = {sum.queries + queries, sum.keys + keys};
    pairs += static_cast<double>(queries) * static_cast<double>(keys);
  }
  check(sum.queries == q.dim(0) && sum.keys == k.dim(0), "attention: sequences of ", sum.queries,
        " queries and ", sum.keys, " keys do not fit q ", q.shape(), " and k ", k.shape());

  Tensor y = empty(q.shape(), q.dtype());
  const profile::Op op(
      "attention", {q.dim(0), k.dim(0), q.dim(1), q.dim(2)},
      profile::work(pairs * (is_causal ? 2.0 : 4.0) * q.dim(1) * q.dim(2), q, k, v, y));
  AttentionRows at{0, 0};
  for (const auto& [queries, keys] : sequences) {
    const AttentionRows end{at.queries + queries, at.keys + keys};
    Tensor part = y.slice(at.queries, end.queries);
    if (part.numel() > 0) {
      cpu::attention(q.slice(at.queries, end.queries), k.slice(at.keys, end.keys),
                     v.slice(at.keys, end.keys), scale, is_causal, part);
    }
    at = end;
  }
  return y;
}

}  // namespace zimage::ops
