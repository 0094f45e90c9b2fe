#pragma once

#include <functional>

#include "transformer/transformer_block.h"

namespace zimage {

// What all blocks share in one step of the schedule.
struct Step {
  Tensor adaln_input;                           // [1, adaln_dim] f32
  const std::function<void()>& between_blocks;  // called before every block, if set

  // x: [rows of all sequences, dim] f32. Returns the first `kept` rows of every sequence.
  Tensor run(const TransformerBlock& block, const Tensor& x, const Sequences& sequences,
             std::int64_t kept = kAllRows) const {
    if (between_blocks) between_blocks();
    return block(x, sequences, adaln_input, kept);
  }
};

}  // namespace zimage
