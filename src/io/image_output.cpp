#include <algorithm>

#include "core/check.h"
#include "io/file.h"
#include "zimage/image.h"

namespace zimage {
namespace {

// Pixels of the longer side that the format, or the library that writes it, can hold.
int max_side(ImageFormat format) {
  switch (format) {
    case ImageFormat::kPng: return 1'000'000;  // libpng's default limit
    case ImageFormat::kJpeg: return 65500;
    case ImageFormat::kWebp: return 16383;
  }
  return 0;
}

}  // namespace

void check_image_writable(const std::filesystem::path& path, int width, int height, int images) {
  const int longest = max_side(image_format_of(path));
  check(std::max(width, height) <= longest, path.string(), ": ", width, "x", height,
        " pixels do not fit this format, which holds ", longest, " a side; .png holds more");
  constexpr std::uint64_t kHeaders = 1u << 16;  // bytes: chunks, metadata
  const auto pixels = static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  const std::uint64_t bytes = pixels * 3 + kHeaders;  // the size without compression
  check_writable(path, bytes * static_cast<std::uint64_t>(images));
}

}  // namespace zimage
