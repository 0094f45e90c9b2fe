// Values of a model's config.json, checked while reading.
#pragma once

#include <string_view>

#include "io/json.h"

namespace zimage {

inline constexpr int kMaxLayers = 1000;
inline constexpr int kMaxSize = 1'000'000;  // of a layer's width; products of two fit 64 bits

// An integer in [min, max], else Error naming file, key, value and range.
int get_size(const Json& json, std::string_view key, int min = 1, int max = kMaxSize);
// A float above zero.
float get_positive(const Json& json, std::string_view key);

}  // namespace zimage
