#include "transformer/modulation.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace zimage {

namespace {

// The only layer of a list; some files count an activation before it that this model does not have.
WeightScope find_linear(const WeightScope& weights) {
  return weights / (!weights.has("0.weight") && weights.has("1.weight") ? "1" : "0");
}

}  // namespace

Modulation::Modulation(const WeightScope& weights, int embed_dim, int dim)
    : linear_(find_linear(weights), embed_dim, 4 * dim, Linear::Bias::kPresent),
      compute_(weights.compute()) {}

Modulation::Values Modulation::operator()(const Tensor& adaln_input) const {
  const Tensor all = linear_(ops::cast(adaln_input, compute_), Dtype::kF32);
  const auto dim = all.numel() / 4;
  const auto part = [&](int i) { return all.reshape({4, dim}).slice(i, i + 1).reshape({dim}); };
  return {.scale_msa = one_plus(part(0)),
          .gate_msa = ops::tanh(part(1)),
          .scale_mlp = one_plus(part(2)),
          .gate_mlp = ops::tanh(part(3))};
}

Tensor one_plus(const Tensor& x) {
  Tensor ones = empty(x.shape());
  std::fill_n(ones.data<float>(), ones.numel(), 1.0f);
  return ops::add(x, ones);
}

}  // namespace zimage
