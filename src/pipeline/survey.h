#pragma once

#include <string>

#include "layers/weights.h"
#include "models/snapshot.h"

namespace zimage {

// Builds a component on zeros, by headers and configuration alone, and notes what it asks for.
WeightSurvey survey(const Snapshot& snapshot, const std::string& component);

// Throws Error unless it has all that it asks for, in numbers that are not quantised.
void check_quantizable(const Snapshot& snapshot, const std::string& component);
// The same of a control network, for a transformer of the size that its first block tells.
void check_control_quantizable(const WeightMap& control);

}  // namespace zimage
