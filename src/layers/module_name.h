// Names of the modules that tensors belong to.
#pragma once

#include <string>
#include <string_view>

namespace zimage {

inline constexpr std::string_view kWeightEnding = ".weight";

inline bool is_weight(std::string_view name) { return name.ends_with(kWeightEnding); }

// "a.b.weight" to "a.b"; other names as they are.
inline std::string module_of(std::string_view name) {
  if (is_weight(name)) name.remove_suffix(kWeightEnding.size());
  return std::string(name);
}

}  // namespace zimage
