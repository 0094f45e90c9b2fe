#pragma once

#include <cstdint>

namespace zimage::cpu {

// One picture in NHWC, weights [out, kernel_height, kernel_width, in]; all sizes at least 1, every
// pad smaller than the kernel.
struct ConvShape {
  std::int64_t height = 0, width = 0, in = 0;
  std::int64_t out_height = 0, out_width = 0, out = 0;
  std::int64_t kernel_height = 0, kernel_width = 0, stride = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  bool operator==(const ConvShape&) const = default;
};

}  // namespace zimage::cpu
