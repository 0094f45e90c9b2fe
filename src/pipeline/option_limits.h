#pragma once

#include "zimage/pipeline.h"

namespace zimage {

// What the loaded model can do.
struct OptionLimits {
  int size_multiple;          // pixels
  int max_height, max_width;  // pixels, the ends of the rope tables
  int max_tokens;             // of a prompt
};

// Throws UsageError naming the first option out of range, its value and the range.
void check_options(const GenerateOptions& options, const OptionLimits& limits);

}  // namespace zimage
