#pragma once

#include <functional>

#include "transformer/transformer_block.h"

namespace zimage {

// What all blocks share in one step of the schedule.
struct Step {
  Tensor adaln_input;                           // [1, adaln_dim] f32
  const std::function<void()>& between_blocks;  // called before every block, if set

  // x: [tokens, dim] f32. Returns the same.
  Tensor run(const TransformerBlock& block, const Tensor& x, const ops::RopeTable& rope) const {
    if (between_blocks) between_blocks();
    return block(x, rope, adaln_input);
  }
};

}  // namespace zimage
