// Other sizes of pictures, bit by bit as Pillow 13 makes them.
#pragma once

#include "zimage/image.h"

namespace zimage {

// Pillow's Image.resize((width, height), Image.LANCZOS) in mode RGB; a copy when the size stays.
// Throws Error for sides below 1 and for more than 2^28 pixels.
Image resize_lanczos(const Image& image, int width, int height);

}  // namespace zimage
