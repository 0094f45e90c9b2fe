#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace zimage {

// 8-bit sRGB, row by row from the top, RGB interleaved; pixels.size() == width * height * 3.
struct Image {
  int width = 0;   // pixels
  int height = 0;  // pixels
  std::vector<std::uint8_t> pixels;
};

enum class ImageFormat { kPng, kJpeg, kWebp };

// By the file name's ending (.png, .jpg, .jpeg, .webp; no ending means PNG). Throws UsageError for
// others.
ImageFormat image_format_of(const std::filesystem::path& path);

// What is stored beside the pixels; empty strings are left out.
struct ImageMetadata {
  std::string
      parameters;  // A1111 infotext, UTF-8: PNG iTXt "parameters", JPEG/WebP EXIF UserComment
  std::string zimage_json;  // our own record, JSON: PNG iTXt "zimage", JPEG/WebP XMP
};

struct EncodeOptions {
  int quality = 95;  // JPEG and WebP, 1 to 100
  ImageMetadata metadata;
};

// The bytes of a file in that format. Throws Error when the format cannot hold the size.
std::vector<std::byte> encode_image(const Image& image, ImageFormat format,
                                    const EncodeOptions& options = {});

struct DecodedImage {
  Image image;                      // EXIF orientation applied, first frame
  std::vector<std::uint8_t> alpha;  // width * height, empty when the file has none
  ImageMetadata metadata;           // PNG only
};

// PNG, JPEG or WebP, told apart by content. Colour is not premultiplied. Throws Error for anything
// else, for damaged files and for more than max_pixels.
DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& where,
                          std::int64_t max_pixels = std::int64_t{1} << 28);
DecodedImage read_image(const std::filesystem::path& path);

// Encodes and writes by rename, so that no partial file appears.
void write_image(const std::filesystem::path& path, const Image& image,
                 const EncodeOptions& options = {});

// Throws Error unless a picture of that size can be written to `path`: folder, right to write,
// space on disk. Creates missing parent folders, leaves no file.
// With images > 1 the disk must have room for that many.
void check_image_writable(const std::filesystem::path& path, int width, int height, int images = 1);

}  // namespace zimage
