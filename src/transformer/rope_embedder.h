#pragma once

#include <array>
#include <span>
#include <vector>

#include "ops/rope.h"

namespace zimage {

using Position = std::array<int, 3>;  // frame, row, column

// Rotation angles of tokens that lie on three axes; each axis turns its own share of the channels.
class RopeEmbedder {
 public:
  // axes_dims: channels per axis, even.
  RopeEmbedder(const std::array<int, 3>& axes_dims, float theta);

  ops::RopeTable operator()(std::span<const Position> positions) const;

 private:
  struct Frequency {
    int axis;
    double value;
  };
  std::vector<Frequency> frequencies_;  // one per channel pair
};

}  // namespace zimage
