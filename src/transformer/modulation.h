#pragma once

#include "layers/linear.h"

namespace zimage {

// adaLN: what the time does to a block.
class Modulation {
 public:
  struct Values {
    Tensor scale_msa, gate_msa, scale_mlp,
        gate_mlp;  // [dim] f32; scales as 1 + x, gates as tanh(x)
  };

  Modulation(const WeightScope& weights, int embed_dim, int dim);

  Values operator()(const Tensor& adaln_input) const;  // [1, embed_dim] f32

 private:
  Linear linear_;
  Dtype compute_;
};

Tensor one_plus(const Tensor& x);  // f32

}  // namespace zimage
