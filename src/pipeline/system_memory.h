// What the system has and what this process takes of it.
#pragma once

#include <cstdint>

namespace zimage {

// What this process may still take: MemAvailable, capped by the control group; the largest value
// where it is unknown.
std::uint64_t available_memory();

// Resident set of this process, mapped files included: now, and the highest so far (VmHWM). 0 where
// it is unknown.
std::uint64_t resident_memory();
std::uint64_t peak_resident_memory();

}  // namespace zimage
