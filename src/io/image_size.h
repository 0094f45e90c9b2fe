#pragma once

#include <cstddef>
#include <cstdint>

#include "core/check.h"

namespace zimage {

// Throws Error unless `bytes` are width x height pixels, at least one. `who` starts the message.
inline void check_pixels(const char* who, int width, int height, int channels, std::size_t bytes) {
  check(width > 0 && height > 0, who, ": a picture of ", width, " x ", height, " pixels");
  const std::uint64_t expected = static_cast<std::uint64_t>(width) *
                                 static_cast<std::uint64_t>(height) *
                                 static_cast<std::uint64_t>(channels);
  check(bytes == expected, who, ": a picture of ", width, " x ", height, " pixels has ", bytes,
        " bytes, expected ", expected);
}

}  // namespace zimage
