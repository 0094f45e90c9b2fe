#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/check.h"
#include "zimage/image.h"

// What is accepted has the size that it says, and comes back from a PNG as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zimage;
  constexpr std::int64_t kMaxPixels = 1 << 18;
  try {
    const DecodedImage decoded =
        decode_image(std::as_bytes(std::span(data, size)), "fuzz", kMaxPixels);
    const Image& image = decoded.image;
    const auto pixels = static_cast<std::size_t>(image.width) * image.height;
    if (image.pixels.size() != 3 * pixels) std::abort();
    if (!decoded.alpha.empty() && decoded.alpha.size() != pixels) std::abort();

    const auto file = encode_image(image, ImageFormat::kPng, {.metadata = decoded.metadata});
    const DecodedImage again = decode_image(file, "again", kMaxPixels);
    if (again.image.pixels != image.pixels) std::abort();
    if (again.metadata.parameters != decoded.metadata.parameters) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
