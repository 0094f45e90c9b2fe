#include "zimage/control_map.h"

#include <array>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "io/control_map.h"
#include "io/resize.h"

namespace zimage {
namespace {

constexpr std::array<std::pair<ControlType, std::string_view>, 3> kNames{
    {{ControlType::kNone, "none"}, {ControlType::kCanny, "canny"}, {ControlType::kGray, "gray"}}};

}  // namespace

std::optional<ControlType> control_type_of(std::string_view name) {
  for (const auto& [type, known] : kNames) {
    if (known == name) return type;
  }
  return {};
}

void check_canny(const CannyOptions& canny) {
  const bool is_ordered = canny.low >= 0 && canny.low <= canny.high && std::isfinite(canny.high);
  check_usage(is_ordered, "--canny-low ", canny.low, " --canny-high ", canny.high,
              ": expected 0 <= low <= high");
}

Image make_control_map(const Image& photo, ControlType type, int width, int height,
                       const CannyOptions& canny) {
  check_canny(canny);
  Image fitting = resize_lanczos(photo, width, height);
  switch (type) {
    case ControlType::kCanny: return canny_map(fitting, canny.low, canny.high);
    case ControlType::kGray: return gray_map(fitting);
    case ControlType::kNone: break;
  }
  return fitting;
}

}  // namespace zimage
