#pragma once

#include <cstdint>
#include <vector>

#include "ops/rope.h"

namespace zimage {

// Rotation angles of tokens at the positions 0, 1, 2, ...
class RotaryEmbedding {
 public:
  RotaryEmbedding(int head_dim, float theta);

  ops::RopeTable operator()(std::int64_t tokens) const;

 private:
  std::vector<float> inv_freq_;  // one per channel pair
};

}  // namespace zimage
