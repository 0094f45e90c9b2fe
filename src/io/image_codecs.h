#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "zimage/image.h"

namespace zimage {

// What stands behind zimage/image.h: a reader and a writer for each format.

struct EncodedFile {
  std::span<const std::byte> bytes;
  std::string where;  // its name in messages
  std::int64_t max_pixels;
};

struct CodecResult {
  DecodedImage decoded;
  int orientation = 1;  // EXIF, not applied yet
};

CodecResult decode_png(const EncodedFile& file);
CodecResult decode_jpeg(const EncodedFile& file);
CodecResult decode_webp(const EncodedFile& file);

std::vector<std::byte> encode_png(const Image& image, const EncodeOptions& options);
std::vector<std::byte> encode_jpeg(const Image& image, const EncodeOptions& options);
std::vector<std::byte> encode_webp(const Image& image, const EncodeOptions& options);

// Throws Error for no pixels or more than file.max_pixels; to be called before memory is taken.
void check_size(const EncodedFile& file, std::int64_t width, std::int64_t height);

// Throws Error when `compressed` bytes cannot hold `raw` bytes at the format's best ratio, so that
// a few bytes with a lying header take no memory.
void check_ratio(const EncodedFile& file, std::int64_t width, std::int64_t height, double raw,
                 double best_ratio);

// RGBA in `pixels` becomes RGB; returns the alpha.
std::vector<std::uint8_t> take_alpha(std::vector<std::uint8_t>& pixels);

// False, with a warning that names what is left out, when `bytes` of metadata exceed `limit`.
bool metadata_fits(std::string_view what, std::size_t bytes, std::size_t limit);

// PNG text chunks beyond it are neither written nor read.
inline constexpr std::size_t kMaxPngTextBytes = std::size_t{2} << 20;

}  // namespace zimage
