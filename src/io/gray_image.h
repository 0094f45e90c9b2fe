#pragma once

#include <cstdint>
#include <vector>

namespace zimage {

// One channel of 8 bits, row by row from the top; pixels.size() == width * height.
struct GrayImage {
  int width = 0;   // pixels
  int height = 0;  // pixels
  std::vector<std::uint8_t> pixels;
};

}  // namespace zimage
