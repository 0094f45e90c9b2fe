#pragma once

#include "layers/linear.h"
#include "transformer/transformer.h"

namespace zimage {

// Tokens to patches: LayerNorm without weights, scaled by the time, then a projection.
class FinalLayer {
 public:
  FinalLayer(const WeightScope& weights, const TransformerConfig& config);

  // x: [tokens, dim] f32; adaln_input: [1, adaln_dim] f32.
  // Returns [tokens, patch * patch * channels] f32.
  Tensor operator()(const Tensor& x, const Tensor& adaln_input) const;

 private:
  Linear linear_, modulation_;
  Dtype compute_;
};

}  // namespace zimage
