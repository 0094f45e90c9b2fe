#include "pipeline/int8_choice.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "models/component_weights.h"

namespace zimage {
namespace {

// Whether `part` is in the name, from dot to dot.
bool has_part(const std::string& name, const std::string& part) {
  return ("." + name + ".").find("." + part + ".") != std::string::npos;
}

}  // namespace

bool is_int8_weight(const std::string& name) {
  return name.starts_with("layers.") && name.ends_with(".weight") &&
         (name.find(".attention.to_") != name.npos || name.find(".feed_forward.w") != name.npos);
}

Int8Choice choose_int8(const Snapshot& snapshot, ComputeDtype dtype,
                       const std::vector<std::string>& kept) {
  const auto tensors = stored_tensors(snapshot, "transformer");
  const bool has_int8 = std::any_of(tensors.begin(), tensors.end(),
                                    [](const auto& t) { return t.dtype == Dtype::kI8; });
  check_usage(kept.empty() || dtype == ComputeDtype::kInt8,
              "--int8-keep: expected --dtype int8 with it");
  for (const std::string& part : kept) {
    const bool is_there = std::any_of(tensors.begin(), tensors.end(), [&](const auto& t) {
      return is_int8_weight(t.name) && has_part(t.name, part);
    });
    check_usage(is_there, "--int8-keep ", printable(part),
                ": the transformer has no weight in eight bits with this in its name; expected a "
                "part like layers.0, feed_forward.w2 or attention.to_out");
  }
  if (dtype == ComputeDtype::kAuto) return {has_int8, {.uses_stored = has_int8}};
  if (dtype != ComputeDtype::kInt8) return {};
  return {true, {.uses_stored = true, .quantizes = [kept](const std::string& name) {
                   return is_int8_weight(name) &&
                          std::none_of(kept.begin(), kept.end(),
                                       [&](const auto& part) { return has_part(name, part); });
                 }}};
}

}  // namespace zimage
