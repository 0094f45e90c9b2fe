#include "transformer/final_layer.h"

#include "ops/elementwise.h"
#include "ops/norm.h"
#include "transformer/modulation.h"

namespace zimage {
namespace {

constexpr float kNormEps = 1e-6f;

}  // namespace

FinalLayer::FinalLayer(const WeightScope& weights, const TransformerConfig& config)
    : linear_(weights / "linear", config.dim,
              config.patch_size * config.patch_size * config.in_channels, Linear::Bias::kPresent),
      modulation_(weights / "adaLN_modulation" / "1", config.adaln_dim(), config.dim,
                  Linear::Bias::kPresent),
      compute_(weights.compute()) {}

Tensor FinalLayer::operator()(const Tensor& x, const Tensor& adaln_input) const {
  const Tensor delta = modulation_(ops::cast(ops::silu(adaln_input), compute_), Dtype::kF32);
  const Tensor scale = one_plus(delta).reshape({x.dim(1)});
  return linear_(ops::layer_norm(x, kNormEps, compute_, scale), Dtype::kF32);
}

}  // namespace zimage
