#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "core/check.h"
#include "io/exif.h"
#include "io/image_codecs.h"
#include "io/image_text.h"

namespace zimage {
namespace {

constexpr std::int64_t kBestDeflateRatio = 1032;  // 258 bytes for two bits
constexpr int kMaxKeptChunks = 32;

// What libpng's callbacks see.
struct Input {
  std::span<const std::byte> rest;
  char message[128] = "";
};

void on_read(png_structp png, png_bytep out, std::size_t bytes) {
  auto& input = *static_cast<Input*>(png_get_io_ptr(png));
  if (bytes > input.rest.size()) png_error(png, "the file ends too early");
  std::memcpy(out, input.rest.data(), bytes);
  input.rest = input.rest.subspan(bytes);
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& input = *static_cast<Input*>(png_get_error_ptr(png));
  std::snprintf(input.message, sizeof input.message, "%s", message);
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

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8) | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

// Every chunk up to IEND lies inside the file. libpng takes memory for the length that a chunk
// claims before it reads the chunk.
void check_chunks(const EncodedFile& file) {
  constexpr std::size_t kSignature = 8, kFrame = 12;  // length, name and CRC around the data
  constexpr std::uint32_t kIend = 0x49454e44;
  for (std::size_t at = kSignature;;) {
    const std::size_t rest = file.bytes.size() - at;
    check(rest >= kFrame && big_endian(file.bytes, at) <= rest - kFrame, file.where,
          ": damaged PNG: the chunk at byte ", at, " runs past the end of the file");
    if (big_endian(file.bytes, at + 4) == kIend) return;
    at += kFrame + big_endian(file.bytes, at);
  }
}

class PngReader {
 public:
  explicit PngReader(const EncodedFile& file) : file_(file), input_{.rest = file.bytes} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw Error(file.where + ": libpng does not start");
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  CodecResult read() {
    read_header();
    CodecResult result;
    DecodedImage& decoded = result.decoded;
    decoded.image.width = static_cast<int>(png_get_image_width(png_, info_));
    decoded.image.height = static_cast<int>(png_get_image_height(png_, info_));
    decoded.image.pixels = read_pixels();
    if (png_get_channels(png_, info_) == 4) decoded.alpha = take_alpha(decoded.image.pixels);
    decoded.metadata = metadata();
    result.orientation = orientation();
    return result;
  }

 private:
  template <class Calls>
  void run(const Calls& calls) {
    check(completes(png_, calls), file_.where, ": damaged PNG: ", input_.message);
  }

  void read_header() {
    run([&] {
      png_set_read_fn(png_, &input_, on_read);
      // check_size() decides, with a message of its own.
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_chunk_malloc_max(png_, kMaxPngTextBytes + 1024);
      png_set_chunk_cache_max(png_, kMaxKeptChunks);
      png_set_benign_errors(png_, 1);  // a chunk beyond those limits is left out
      png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
      static constexpr png_byte kUnused[] = "iCCP\0sPLT\0hIST\0pCAL\0sCAL";
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kUnused, 5);
      png_read_info(png_, info_);
    });
    const std::int64_t width = png_get_image_width(png_, info_);
    const std::int64_t height = png_get_image_height(png_, info_);
    check_size(file_, width, height);
    check_ratio(file_, width, height, double(png_get_rowbytes(png_, info_)) * double(height),
                kBestDeflateRatio);
  }

  std::vector<std::uint8_t> read_pixels() {
    int passes = 1;
    run([&] {
      png_set_expand(png_);    // palette and 1 to 4 bits to 8, a transparent colour to alpha
      png_set_strip_16(png_);  // the high byte, as Pillow takes it
      png_set_gray_to_rgb(png_);
      passes = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    const std::size_t row_bytes = png_get_rowbytes(png_, info_);
    const std::size_t rows = png_get_image_height(png_, info_);
    std::vector<std::uint8_t> pixels(row_bytes * rows);
    std::uint8_t* const out = pixels.data();
    run([&] {
      for (int pass = 0; pass < passes; ++pass) {
        for (std::size_t y = 0; y < rows; ++y) png_read_row(png_, out + y * row_bytes, nullptr);
      }
      png_read_end(png_, info_);
    });
    return pixels;
  }

  ImageMetadata metadata() {
    ImageMetadata metadata;
    png_textp texts = nullptr;
    int count = 0;
    run([&] { png_get_text(png_, info_, &texts, &count); });
    for (const png_text& chunk : std::span(texts, static_cast<std::size_t>(count))) {
      const std::string_view key = chunk.key;
      std::string* const field = key == "parameters" ? &metadata.parameters
                                 : key == "zimage"   ? &metadata.zimage_json
                                                     : nullptr;
      if (field == nullptr || !field->empty()) continue;
      const bool is_itxt = chunk.compression >= PNG_ITXT_COMPRESSION_NONE;
      const std::string_view text{chunk.text, is_itxt ? chunk.itxt_length : chunk.text_length};
      *field = is_itxt ? valid_utf8(text) : utf8_of_text_chunk(text);
    }
    return metadata;
  }

  int orientation() {
    png_uint_32 bytes = 0;
    png_bytep exif = nullptr;
    run([&] {
      if (png_get_eXIf_1(png_, info_, &bytes, &exif) == 0) bytes = 0;
    });
    return exif_orientation(std::as_bytes(std::span(exif, bytes)));
  }

  const EncodedFile& file_;
  Input input_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

CodecResult decode_png(const EncodedFile& file) {
  check_chunks(file);
  return PngReader(file).read();
}

}  // namespace zimage
