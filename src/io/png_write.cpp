#include <png.h>

#include <csetjmp>
#include <cstdio>

#include "core/check.h"
#include "io/image_codecs.h"
#include "io/image_text.h"

namespace zimage {
namespace {

struct Output {
  std::vector<std::byte> bytes;
  char message[128] = "";
};

void on_write(png_structp png, png_bytep data, std::size_t size) {
  auto& output = *static_cast<Output*>(png_get_io_ptr(png));
  bool has_memory = true;
  try {
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    output.bytes.insert(output.bytes.end(), begin, begin + size);
  } catch (...) {  // must not pass through libpng
    has_memory = false;
  }
  if (!has_memory) png_error(png, "no memory");
}

void on_flush(png_structp) {}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& output = *static_cast<Output*>(png_get_error_ptr(png));
  std::snprintf(output.message, sizeof output.message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

// False when libpng jumped out of `calls`, which must own nothing that needs a destructor.
template <class Calls>
bool completes(png_structp png, const Calls& calls) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  calls();
  return true;
}

class PngWriter {
 public:
  PngWriter() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &output_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, &info_);
      throw Error("PNG: libpng does not start");
    }
  }
  ~PngWriter() { png_destroy_write_struct(&png_, &info_); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  std::vector<std::byte> write(const Image& image, std::span<png_text> texts) {
    const bool done = completes(png_, [&] {
      png_set_write_fn(png_, &output_, on_write, on_flush);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_IHDR(png_, info_, static_cast<png_uint_32>(image.width),
                   static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB,
                   PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
      png_set_sRGB(png_, info_, PNG_sRGB_INTENT_PERCEPTUAL);
      png_set_text(png_, info_, texts.data(), static_cast<int>(texts.size()));
      png_write_info(png_, info_);
      const std::size_t row_bytes = static_cast<std::size_t>(image.width) * 3;
      for (int y = 0; y < image.height; ++y) {
        png_write_row(png_, image.pixels.data() + static_cast<std::size_t>(y) * row_bytes);
      }
      png_write_end(png_, nullptr);
    });
    check(done, "PNG of ", image.width, " x ", image.height, ": ", output_.message);
    return std::move(output_.bytes);
  }

 private:
  Output output_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

// iTXt, not tEXt: the latter is Latin-1. Uncompressed, so that any reader can search for it.
png_text itxt(const char* key, std::string& text) {
  png_text chunk{};
  chunk.compression = PNG_ITXT_COMPRESSION_NONE;
  chunk.key = const_cast<char*>(key);
  chunk.text = text.data();
  chunk.itxt_length = text.size();
  return chunk;
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image, const EncodeOptions& options) {
  std::string parameters = valid_utf8(options.metadata.parameters);
  std::string json = valid_utf8(options.metadata.zimage_json);
  std::vector<png_text> texts;
  const auto add = [&](const char* key, std::string& text) {
    if (text.empty()) return;
    if (!metadata_fits(str("PNG chunk \"", key, "\""), text.size(), kMaxPngTextBytes)) return;
    texts.push_back(itxt(key, text));
  };
  add("parameters", parameters);
  add("zimage", json);
  return PngWriter().write(image, texts);
}

}  // namespace zimage
