#pragma once

#include "layers/linear.h"

namespace zimage {

// Sinusoids of the time, then a two-layer perceptron. All in f32: it is small, and every block
// depends on it.
class TimestepEmbedder {
 public:
  // weights: of compute dtype f32.
  TimestepEmbedder(const WeightScope& weights, int out_dim);

  // t: scaled time, 0 to 1000. Returns [1, out_dim] f32.
  Tensor operator()(float t) const;

 private:
  Linear mlp0_, mlp2_;
};

}  // namespace zimage
