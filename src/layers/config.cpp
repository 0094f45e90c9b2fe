#include "layers/config.h"

#include "core/check.h"

namespace zimage {

int get_size(const Json& json, std::string_view key, int min, int max) {
  const int value = json.get<int>(key);
  check(min <= value && value <= max, json.where(), ": ", key, " is ", value, ", expected ", min,
        " to ", max);
  return value;
}

float get_positive(const Json& json, std::string_view key) {
  const float value = json.get<float>(key);
  check(value > 0, json.where(), ": ", key, " is ", value, ", expected a number above 0");
  return value;
}

}  // namespace zimage
