#include "pipeline/int8_choice.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "layers/module_name.h"
#include "models/component_weights.h"

namespace zimage {
namespace {

// Whether `part` is in the name, from dot to dot.
bool has_part(const std::string& name, const std::string& part) {
  return ("." + name + ".").find("." + part + ".") != std::string::npos;
}

}  // namespace

bool is_int8_weight(const std::string& name) {
  return name.starts_with("layers.") && is_weight(name) &&
         (name.find(".attention.to_") != name.npos || name.find(".feed_forward.w") != name.npos);
}

Int8Choice choose_int8(const Snapshot& snapshot, ComputeDtype dtype,
                       const std::vector<std::string>& kept, std::string_view flag) {
  const auto tensors = stored_tensors(snapshot, "transformer");
  const auto any_of = [&](const auto& claim) {
    return std::any_of(tensors.begin(), tensors.end(), claim);
  };
  const auto is_stored = [](const StoredTensor& t) { return t.dtype == Dtype::kI8; };
  check_usage(kept.empty() || dtype == ComputeDtype::kInt8, flag,
              ": expected --dtype int8 with it");
  for (const std::string& part : kept) {
    const auto is_meant = [&](const StoredTensor& t) {
      return is_int8_weight(t.name) && has_part(t.name, part);
    };
    check_usage(any_of(is_meant), flag, " ", printable(part),
                ": no weight that would be quantised has this in its name; expected a part like "
                "layers.0, feed_forward.w2 or attention.to_out");
    check_usage(!any_of([&](const auto& t) { return is_meant(t) && is_stored(t); }), flag, " ",
                printable(part), ": the file has such weights in eight bits already");
  }
  if (dtype == ComputeDtype::kAuto) return {any_of(is_stored), {.uses_stored = true}};
  if (dtype != ComputeDtype::kInt8) return {};
  const Int8Policy policy{.uses_stored = true, .quantizes = [kept](const std::string& name) {
                            return is_int8_weight(name) &&
                                   std::none_of(kept.begin(), kept.end(), [&](const auto& part) {
                                     return has_part(name, part);
                                   });
                          }};
  const bool is_on =
      any_of([&](const auto& t) { return policy.multiplies(t.name, t.shape, is_stored(t)); });
  return {is_on, policy, kept};
}

}  // namespace zimage
