#pragma once

#include <algorithm>
#include <cstdint>

namespace zimage::cpu {

// Elements a task takes on: some tens of microseconds, so that handing out tasks costs nothing.
inline constexpr std::int64_t kBlockElements = 64 * 1024;

// The same amount in rows; depends on nothing but the shape.
inline std::int64_t rows_per_block(std::int64_t dim) {
  return std::max<std::int64_t>(kBlockElements / std::max<std::int64_t>(dim, 1), 1);
}

}  // namespace zimage::cpu
