#include <array>
#include <cstring>

#include "core/check.h"
#include "io/exif.h"
#include "io/image_codecs.h"
#include "io/image_text.h"
#include "io/jpeg_error.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxSegmentBytes = 65533;  // 16 bits of length, which counts itself
constexpr int kFullColourQuality = 90;           // from here on chroma is not halved

// A libjpeg destination that collects in a vector.
struct Output : jpeg_destination_mgr {
  Output();

  std::vector<std::byte> bytes;
  std::array<JOCTET, 1 << 16> buffer;
};

Output& output_of(j_compress_ptr codec) { return *static_cast<Output*>(codec->dest); }

void start_buffer(j_compress_ptr codec) {
  Output& output = output_of(codec);
  output.next_output_byte = output.buffer.data();
  output.free_in_buffer = output.buffer.size();
}

void flush(j_compress_ptr codec, std::size_t size) {
  Output& output = output_of(codec);
  bool has_memory = true;
  try {
    const auto* begin = reinterpret_cast<const std::byte*>(output.buffer.data());
    output.bytes.insert(output.bytes.end(), begin, begin + size);
  } catch (...) {  // must not pass through libjpeg
    has_memory = false;
  }
  if (!has_memory) jpeg_fail(reinterpret_cast<j_common_ptr>(codec), "no memory");
}

boolean on_full(j_compress_ptr codec) {
  flush(codec, output_of(codec).buffer.size());
  start_buffer(codec);
  return TRUE;
}

void on_end(j_compress_ptr codec) {
  flush(codec, output_of(codec).buffer.size() - codec->dest->free_in_buffer);
}

Output::Output() {
  init_destination = start_buffer;
  empty_output_buffer = on_full;
  term_destination = on_end;
}

using Segment = std::vector<std::byte>;  // the content of an APP1

void append(Segment& segment, std::string_view text) {
  for (const char c : text) segment.push_back(static_cast<std::byte>(c));
}

std::vector<Segment> metadata_segments(const ImageMetadata& metadata) {
  std::vector<Segment> segments;
  const auto add = [&](std::string_view what, Segment segment) {
    if (metadata_fits(what, segment.size(), kMaxSegmentBytes)) {
      segments.push_back(std::move(segment));
    }
  };
  if (!metadata.parameters.empty()) {
    Segment segment;
    append(segment, {"Exif\0\0", 6});
    const std::vector<std::byte> exif = exif_with_user_comment(metadata.parameters);
    segment.insert(segment.end(), exif.begin(), exif.end());
    add("JPEG EXIF with the parameters", std::move(segment));
  }
  if (!metadata.zimage_json.empty()) {
    Segment segment;
    append(segment, {"http://ns.adobe.com/xap/1.0/\0", 29});
    append(segment, xmp_packet(metadata.zimage_json));
    add("JPEG XMP with the zimage record", std::move(segment));
  }
  return segments;
}

class JpegWriter {
 public:
  JpegWriter() { codec_.err = &errors_; }
  ~JpegWriter() { jpeg_destroy_compress(&codec_); }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  std::vector<std::byte> write(const Image& image, int quality, std::span<const Segment> segments) {
    const bool done = completes(errors_, [&] {
      jpeg_create_compress(&codec_);
      codec_.dest = &output_;
      set_parameters(image, quality);
      jpeg_start_compress(&codec_, TRUE);
      for (const Segment& segment : segments) {
        jpeg_write_marker(&codec_, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(segment.data()),
                          static_cast<unsigned>(segment.size()));
      }
      while (codec_.next_scanline < codec_.image_height) {
        const std::size_t offset = std::size_t{3} * codec_.image_width * codec_.next_scanline;
        auto* row = const_cast<JSAMPROW>(image.pixels.data() + offset);
        jpeg_write_scanlines(&codec_, &row, 1);
      }
      jpeg_finish_compress(&codec_);
    });
    check(done, "JPEG of ", image.width, " x ", image.height, ": ", errors_.text);
    return std::move(output_.bytes);
  }

 private:
  void set_parameters(const Image& image, int quality) {
    codec_.image_width = static_cast<JDIMENSION>(image.width);
    codec_.image_height = static_cast<JDIMENSION>(image.height);
    codec_.input_components = 3;
    codec_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&codec_);
    jpeg_set_quality(&codec_, quality, TRUE);
    codec_.optimize_coding = TRUE;
    const int luma_factor = quality >= kFullColourQuality ? 1 : 2;
    codec_.comp_info[0].h_samp_factor = luma_factor;
    codec_.comp_info[0].v_samp_factor = luma_factor;
  }

  JpegErrors errors_;
  Output output_;
  jpeg_compress_struct codec_{};
};

}  // namespace

std::vector<std::byte> encode_jpeg(const Image& image, const EncodeOptions& options) {
  check(image.width <= JPEG_MAX_DIMENSION && image.height <= JPEG_MAX_DIMENSION, "JPEG of ",
        image.width, " x ", image.height, ": at most ", JPEG_MAX_DIMENSION,
        " pixels a side, write a PNG instead");
  return JpegWriter().write(image, options.quality, metadata_segments(options.metadata));
}

}  // namespace zimage
