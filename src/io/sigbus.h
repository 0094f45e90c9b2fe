#pragma once

#include <cstddef>

namespace zimage::sigbus {

// Address ranges in which a fault reads zeros instead of ending the process: what the kernel raises
// where a mapped file has no bytes (any more) or the disk fails.
inline constexpr int kMaxRanges = 256;

int watch(const std::byte* begin, std::size_t bytes);  // a slot; -1 when all are taken
void unwatch(int slot);                                // before the range is unmapped
bool was_hit(int slot);                                // a fault happened inside

}  // namespace zimage::sigbus
