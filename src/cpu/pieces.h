#pragma once

#include <cstdint>

namespace zimage::cpu {

// The length of the nearly equal pieces, multiples of `step` and no longer than `longest`, that n
// is cut into.
inline std::int64_t piece_of(std::int64_t n, std::int64_t longest, std::int64_t step) {
  const std::int64_t pieces = (n + longest - 1) / longest;
  return (n + pieces * step - 1) / (pieces * step) * step;
}

// n up to a multiple of `unit`.
inline std::int64_t whole(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace zimage::cpu
