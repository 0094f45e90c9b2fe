// What can be quantised.
#pragma once

#include <string>

#include "layers/weights.h"
#include "models/snapshot.h"

namespace zimage {

// Of a component. Throws Error unless it has all that it asks for, in numbers that are not
// quantised.
WeightMap load_quantizable(const Snapshot& snapshot, const std::string& component);
// Throws it for a control network, for a transformer of the size that its first block tells.
void check_control_quantizable(const WeightMap& control);

// Throws Error, naming the row of a weight, where its scales, one or more for each row, say that it
// holds what no scale can be given to: those that are not finite, and of U8 255.
void check_finite(const Tensor& scales, const std::string& weight, const std::string& where);

}  // namespace zimage
