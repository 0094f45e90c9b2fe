#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "zimage/image.h"

namespace {

using zimage::DecodedImage;

constexpr std::int64_t kMaxPixels = 1 << 18;

// What is accepted has the size that it says, and comes back from a PNG as it was.
void visit(std::span<const std::uint8_t> file) try {
  const DecodedImage decoded = zimage::decode_image(std::as_bytes(file), "fuzz", kMaxPixels);
  const zimage::Image& image = decoded.image;
  const auto pixels = static_cast<std::size_t>(image.width) * image.height;
  if (image.pixels.size() != 3 * pixels) std::abort();
  if (!decoded.alpha.empty() && decoded.alpha.size() != pixels) std::abort();

  const auto written = zimage::encode_image(image, zimage::ImageFormat::kPng,
                                            {.quality = 95, .metadata = decoded.metadata});
  const DecodedImage again = zimage::decode_image(written, "again", kMaxPixels);
  if (again.image.pixels != image.pixels) std::abort();
  if (again.metadata.parameters != decoded.metadata.parameters) std::abort();
} catch (const zimage::Error&) {
}

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// With sums that are right, so that mutations of a PNG get past them.
std::vector<std::uint8_t> with_crcs(std::span<const std::uint8_t> png) {
  std::vector<std::uint8_t> file(png.begin(), png.end());
  for (std::size_t at = 8; file.size() - at >= 12;) {
    const std::size_t length =
        std::size_t{file[at]} << 24 | file[at + 1] << 16 | file[at + 2] << 8 | file[at + 3];
    if (length > file.size() - at - 12) break;
    const std::uint32_t crc = crc32(std::span(file).subspan(at + 4, length + 4));
    at += length + 8;
    for (const int shift : {24, 16, 8, 0}) file[at++] = static_cast<std::uint8_t>(crc >> shift);
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(data, size);
  visit(file);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("\x89PNG\r\n\x1a\n")) visit(with_crcs(file));
  return 0;
}
