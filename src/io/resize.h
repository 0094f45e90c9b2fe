// Other sizes of pictures and masks, bit by bit as Pillow 13 makes them.
#pragma once

#include "io/gray_image.h"
#include "zimage/image.h"

namespace zimage {

// Pillow's Image.resize((width, height), Image.LANCZOS) in mode RGB; a copy when the size stays.
// Throws Error for sides below 1 and for more than 2^28 pixels.
Image resize_lanczos(const Image& image, int width, int height);

// The same in mode L.
GrayImage resize_lanczos(const GrayImage& image, int width, int height);

}  // namespace zimage
