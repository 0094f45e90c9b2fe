#pragma once

#include <optional>
#include <string_view>

#include "zimage/image.h"

namespace zimage {

// What makes a control image of a photo.
enum class ControlType {
  kNone,   // it is a map already
  kCanny,  // white edges on black
  kGray,   // luminance
};
// "none", "canny", "gray"; nothing for other names.
std::optional<ControlType> control_type_of(std::string_view name);

struct CannyOptions {
  double low = 100, high = 200;  // of the gradient |dx| + |dy| of a 3x3 Sobel filter, 8-bit levels
};

// Throws UsageError for thresholds that are not finite, negative or in the wrong order.
void check_canny(const CannyOptions& canny);

// The map at width x height: the photo is resized first, so that edges are one pixel wide there.
// Equal to cv2.Canny and cv2.cvtColor(..., COLOR_RGB2GRAY) on the resized photo. Throws as
// check_canny().
Image make_control_map(const Image& photo, ControlType type, int width, int height,
                       const CannyOptions& canny = {});

}  // namespace zimage
