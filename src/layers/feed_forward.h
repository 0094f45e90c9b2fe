#pragma once

#include <utility>

#include "layers/linear.h"
#include "ops/elementwise.h"

namespace zimage {

// SwiGLU: down(silu(gate(x)) * up(x)).
class FeedForward {
 public:
  FeedForward(Linear gate, Linear up, Linear down)
      : gate_(std::move(gate)), up_(std::move(up)), down_(std::move(down)) {}

  // x: [tokens, dim] of the compute dtype. Returns [tokens, dim] f32.
  Tensor operator()(const Tensor& x) const {
    return down_(ops::silu_mul(gate_(x), up_(x)), Dtype::kF32);
  }

 private:
  Linear gate_, up_, down_;
};

}  // namespace zimage
