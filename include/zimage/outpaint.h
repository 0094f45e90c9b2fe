#pragma once

#include <optional>

#include "zimage/image.h"

namespace zimage {

struct Margins {
  int left = 0, top = 0, right = 0, bottom = 0;  // pixels, 0 and more
};

// What GenerateOptions takes to draw beyond the edges of a picture.
struct OutpaintInput {
  Image image;  // on a canvas that its edge pixels fill
  Image mask;   // white around the picture, fading over the 16 pixels inside those edges
};

// Margins grow by up to 15 pixels, on the right and at the bottom where there is one, so that the
// canvas is a multiple of 16; without a margin in a direction the size there stays as it is.
// `mask`, of the picture's size, is repainted too. Throws UsageError for negative margins or none
// at all, another mask size and a canvas of more than 2^28 pixels.
OutpaintInput outpaint(const Image& image, Margins margins, const std::optional<Image>& mask = {});

}  // namespace zimage
