#pragma once

#include <functional>
#include <string_view>

#include "layers/weights.h"

namespace zimage {

// Throws Error naming up to three tensors that no layer has taken, except those that `is_unused`
// knows to play no part: a checkpoint with more in it describes another model.
void check_no_surplus(const WeightMap& weights,
                      const std::function<bool(std::string_view name)>& is_unused);

}  // namespace zimage
