#pragma once

#include "zimage/profile.h"

namespace zimage::cpu {

// Of the threads and instructions in use (num_threads(), current_isa()). Takes about half a second
// and 512 MB.
Peaks measure_peaks();

}  // namespace zimage::cpu
