#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "io/exif.h"
#include "io/image_codecs.h"
#include "io/jpeg_error.h"

namespace zimage {
namespace {

// Encoders write about ten; each costs a pass over all blocks, however few bytes it has.
constexpr int kMaxScans = 64;

void limit_scans(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number > kMaxScans) {
    jpeg_fail(codec, "more than 64 scans");
  }
}

// a * b / 255, rounded.
int scaled(int a, int b) {
  const int product = a * b + 128;
  return (product + (product >> 8)) >> 8;
}

// Paper white less the ink, less the black. Adobe's files hold the inverse of the inks.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, bool is_inverted,
                 std::uint8_t* rgb) {
  const int flip = is_inverted ? 255 : 0;
  for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    const int light = 255 - (cmyk[3] ^ flip);
    for (int c = 0; c < 3; ++c) {
      rgb[c] = static_cast<std::uint8_t>(std::max(0, light - scaled(cmyk[c] ^ flip, light)));
    }
  }
}

class JpegReader {
 public:
  explicit JpegReader(const EncodedFile& file) : file_(file) { codec_.err = &errors_; }
  ~JpegReader() { jpeg_destroy_decompress(&codec_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  CodecResult read() {
    read_header();
    CodecResult result;
    Image& image = result.decoded.image;
    image.width = static_cast<int>(codec_.image_width);
    image.height = static_cast<int>(codec_.image_height);
    image.pixels = read_pixels();
    result.orientation = orientation_;
    return result;
  }

 private:
  template <class Calls>
  void run(const Calls& calls) {
    check(completes(errors_, calls), file_.where, ": damaged JPEG: ", errors_.text);
  }

  void read_header() {
    run([&] {
      jpeg_create_decompress(&codec_);
      progress_.progress_monitor = limit_scans;
      codec_.progress = &progress_;
      jpeg_mem_src(&codec_, reinterpret_cast<const unsigned char*>(file_.bytes.data()),
                   file_.bytes.size());
      jpeg_save_markers(&codec_, JPEG_APP0 + 1, 0xffff);
      jpeg_read_header(&codec_, TRUE);
    });
    check_size(file_, codec_.image_width, codec_.image_height);
    // A Huffman code is a bit or more for each block of 64 samples. Arithmetic coding has no bound.
    if (!codec_.arith_code) {
      check_ratio(file_, codec_.image_width, codec_.image_height, largest_component(), 64 * 8);
    }
    orientation_ = orientation();
  }

  // Samples of the component that has the most.
  double largest_component() const {
    int factor = 1;
    for (int c = 0; c < codec_.num_components; ++c) {
      const jpeg_component_info& component = codec_.comp_info[c];
      factor = std::max(factor, component.h_samp_factor * component.v_samp_factor);
    }
    return double{1} * codec_.image_width * codec_.image_height * factor /
           (codec_.max_h_samp_factor * codec_.max_v_samp_factor);
  }

  // Before decompression, which frees the markers' memory at its end.
  int orientation() const {
    for (auto* marker = codec_.marker_list; marker != nullptr; marker = marker->next) {
      constexpr std::size_t kPrefix = 6;
      if (marker->data_length > kPrefix && std::memcmp(marker->data, "Exif\0\0", kPrefix) == 0) {
        return exif_orientation(std::as_bytes(std::span(marker->data, marker->data_length)));
      }
    }
    return 1;
  }

  std::vector<std::uint8_t> read_pixels() {
    const bool is_cmyk = codec_.jpeg_color_space == JCS_CMYK || codec_.jpeg_color_space == JCS_YCCK;
    const std::size_t width = codec_.image_width;
    std::vector<std::uint8_t> pixels(width * codec_.image_height * 3);
    std::vector<std::uint8_t> cmyk(is_cmyk ? width * 4 : 0);
    std::uint8_t* const out = pixels.data();
    run([&] {
      codec_.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
      jpeg_start_decompress(&codec_);
      while (codec_.output_scanline < codec_.output_height) {
        std::uint8_t* const rgb = out + codec_.output_scanline * width * 3;
        JSAMPROW row = is_cmyk ? cmyk.data() : rgb;
        jpeg_read_scanlines(&codec_, &row, 1);
        if (is_cmyk) cmyk_to_rgb(row, width, codec_.saw_Adobe_marker, rgb);
      }
      jpeg_finish_decompress(&codec_);
    });
    return pixels;
  }

  const EncodedFile& file_;
  JpegErrors errors_;
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct codec_{};
  int orientation_ = 1;
};

}  // namespace

CodecResult decode_jpeg(const EncodedFile& file) { return JpegReader(file).read(); }

}  // namespace zimage
