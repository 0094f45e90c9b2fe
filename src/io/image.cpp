#include "zimage/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "core/log.h"
#include "io/file.h"
#include "io/image_codecs.h"
#include "io/printable.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

bool starts_with(std::span<const std::byte> bytes, std::size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() &&
         std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

CodecResult decode_by_content(const EncodedFile& file) {
  check(!file.bytes.empty(), file.where, ": an empty file, expected PNG, JPEG or WebP");
  if (starts_with(file.bytes, 0, "\x89PNG\r\n\x1a\n")) return decode_png(file);
  if (starts_with(file.bytes, 0, "\xff\xd8\xff")) return decode_jpeg(file);
  if (starts_with(file.bytes, 0, "RIFF") && starts_with(file.bytes, 8, "WEBP")) {
    return decode_webp(file);
  }
  const auto* text = reinterpret_cast<const char*>(file.bytes.data());
  throw Error(str(file.where, ": starts with \"",
                  printable({text, std::min<std::size_t>(file.bytes.size(), 8)}),
                  "\", which is no PNG, JPEG or WebP"));
}

// The EXIF orientation as a walk over the stored pixels: where it starts, and how far the source
// moves for a step to the right and a step down in the upright picture.
struct Walk {
  std::ptrdiff_t start, right, down;
};

Walk walk_of(int orientation, std::ptrdiff_t width, std::ptrdiff_t height) {
  const std::ptrdiff_t last = width * height - 1, last_row = (height - 1) * width;
  const std::array<Walk, 8> walks{{{0, 1, width},
                                   {width - 1, -1, width},
                                   {last, -1, -width},
                                   {last_row, 1, -width},
                                   {0, width, 1},
                                   {last_row, -width, 1},
                                   {last, -width, -1},
                                   {width - 1, width, -1}}};
  return walks.at(static_cast<std::size_t>(orientation) - 1);
}

std::vector<std::uint8_t> walked(const std::vector<std::uint8_t>& source, std::size_t channels,
                                 const Walk& walk, int width, int height) {
  std::vector<std::uint8_t> result(source.size());
  std::uint8_t* out = result.data();
  for (std::ptrdiff_t y = 0; y < height; ++y) {
    for (std::ptrdiff_t x = 0; x < width; ++x, out += channels) {
      const auto from = static_cast<std::size_t>(walk.start + x * walk.right + y * walk.down);
      std::copy_n(source.data() + from * channels, channels, out);
    }
  }
  return result;
}

DecodedImage upright(CodecResult result) {
  DecodedImage decoded = std::move(result.decoded);
  if (result.orientation == 1) return decoded;
  Image& image = decoded.image;
  const Walk walk = walk_of(result.orientation, image.width, image.height);
  const bool is_on_its_side = result.orientation >= 5;
  if (is_on_its_side) std::swap(image.width, image.height);
  image.pixels = walked(image.pixels, 3, walk, image.width, image.height);
  if (!decoded.alpha.empty()) {
    decoded.alpha = walked(decoded.alpha, 1, walk, image.width, image.height);
  }
  return decoded;
}

}  // namespace

void check_size(const EncodedFile& file, std::int64_t width, std::int64_t height) {
  check(width > 0 && height > 0, file.where, ": a picture of ", width, " x ", height, " pixels");
  check(width <= file.max_pixels / height, file.where, ": ", width, " x ", height,
        " pixels, at most ", file.max_pixels, " are read");
}

void check_ratio(const EncodedFile& file, std::int64_t width, std::int64_t height, double raw,
                 double best_ratio) {
  check(raw <= best_ratio * static_cast<double>(file.bytes.size()), file.where, ": ",
        file.bytes.size(), " bytes cannot hold the ", width, " x ", height,
        " pixels that the header names");
}

std::vector<std::uint8_t> take_alpha(std::vector<std::uint8_t>& pixels) {
  const std::size_t count = pixels.size() / 4;
  std::vector<std::uint8_t> alpha(count);
  for (std::size_t i = 0; i < count; ++i) {
    alpha[i] = pixels[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) pixels[3 * i + c] = pixels[4 * i + c];
  }
  pixels.resize(3 * count);
  return alpha;
}

bool metadata_fits(std::string_view what, std::size_t bytes, std::size_t limit) {
  if (bytes <= limit) return true;
  log_warning(what, ": ", bytes, " bytes, at most ", limit, " fit; left out of the file");
  return false;
}

ImageFormat image_format_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (ending.empty() || ending == ".png") return ImageFormat::kPng;
  if (ending == ".jpg" || ending == ".jpeg") return ImageFormat::kJpeg;
  if (ending == ".webp") return ImageFormat::kWebp;
  throw UsageError(str(printable(path.string()), ": no format for the ending ", printable(ending),
                       ", expected .png, .jpg, .jpeg or .webp"));
}

std::vector<std::byte> encode_image(const Image& image, ImageFormat format,
                                    const EncodeOptions& options) {
  check_usage(options.quality >= 1 && options.quality <= 100, "quality ", options.quality,
              ", expected 1 to 100");
  check(image.width > 0 && image.height > 0, "a picture of ", image.width, " x ", image.height,
        " pixels cannot be stored");
  const std::uint64_t expected = std::uint64_t{3} * static_cast<std::uint64_t>(image.width) *
                                 static_cast<std::uint64_t>(image.height);
  check(image.pixels.size() == expected, "a picture of ", image.width, " x ", image.height,
        " pixels has ", image.pixels.size(), " bytes, expected ", expected);
  switch (format) {
    case ImageFormat::kPng: return encode_png(image, options);
    case ImageFormat::kJpeg: return encode_jpeg(image, options);
    case ImageFormat::kWebp: return encode_webp(image, options);
  }
  throw UsageError("an unknown picture format");
}

DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& where,
                          std::int64_t max_pixels) {
  try {
    return upright(decode_by_content({bytes, where, max_pixels}));
  } catch (const std::bad_alloc&) {
    throw Error(where + ": not enough memory for this picture");
  }
}

DecodedImage read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path, kMaxFileBytes), printable(path.string()));
}

void write_image(const std::filesystem::path& path, const Image& image,
                 const EncodeOptions& options) {
  write_file(path, encode_image(image, image_format_of(path), options));
}

}  // namespace zimage
