// Pictures that steer a generation, bit by bit as OpenCV draws them.
#pragma once

#include "zimage/image.h"

namespace zimage {

// cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) in all three channels.
Image gray_map(const Image& image);

// White edges on black: cv2.Canny(gray, low, high) of the picture in gray. The thresholds are sums
// of the two Sobel derivatives' magnitudes, 0 to 2040; their order does not matter.
Image canny_map(const Image& image, double low = 100, double high = 200);

}  // namespace zimage
