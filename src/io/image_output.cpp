#include "io/file.h"
#include "zimage/image.h"

namespace zimage {

void check_image_writable(const std::filesystem::path& path, int width, int height) {
  (void)image_format_of(path);
  constexpr std::uint64_t kHeaders = 1u << 16;  // bytes: chunks, metadata
  const auto pixels = static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  check_writable(path, pixels * 3 + kHeaders);  // the size without compression
}

}  // namespace zimage
