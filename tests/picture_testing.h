// Helpers for tests that compare whole pictures.
#pragma once

#include <cmath>
#include <cstdlib>
#include <limits>

#include "testing.h"
#include "zimage/image.h"

namespace zimage {

struct Difference {
  double psnr;          // dB
  double share_within;  // of the 8-bit values that differ by 1 at most
};

inline Difference difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) throw Error("sizes differ");
  double squares = 0;
  std::size_t within = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const int d = int{a.pixels[i]} - int{b.pixels[i]};
    squares += d * d;
    within += std::abs(d) <= 1 ? 1 : 0;
  }
  const double mse = squares / static_cast<double>(a.pixels.size());
  return {mse > 0 ? 10 * std::log10(255.0 * 255.0 / mse) : std::numeric_limits<double>::infinity(),
          static_cast<double>(within) / static_cast<double>(a.pixels.size())};
}

}  // namespace zimage
