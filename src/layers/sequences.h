#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ops/rope.h"

namespace zimage {

inline constexpr std::int64_t kAllRows = std::numeric_limits<std::int64_t>::max();

// Sequences of tokens that pass through a layer together, the rows of one below those of the other.
// What works on rows takes them as one tensor; attention keeps each to itself.
struct Sequences {
  std::vector<std::int64_t> lengths;  // rows of each
  ops::RopeTable rope;                // of all rows

  // x: [rows of all, ...]. Returns the first `rows` rows of every sequence, or all that it has.
  Tensor leading(const Tensor& x, std::int64_t rows) const;
};

}  // namespace zimage
