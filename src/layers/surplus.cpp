#include "layers/surplus.h"

#include "core/check.h"

namespace zimage {

void check_no_surplus(const WeightMap& weights,
                      const std::function<bool(std::string_view name)>& is_unused) {
  constexpr int kNamed = 3;
  std::string names;
  int surplus = 0;
  for (const std::string& name : weights.untaken()) {
    if (is_unused(name)) continue;
    if (weights.survey() != nullptr) {
      weights.survey()->surplus.push_back(name);
      continue;
    }
    if (surplus < kNamed) names += (surplus > 0 ? ", " : "") + name;
    ++surplus;
  }
  check(surplus == 0, weights.where(), ": ", surplus, " tensor", surplus == 1 ? "" : "s",
        " that this model does not have: ", names, surplus > kNamed ? ", ..." : "");
}

}  // namespace zimage
