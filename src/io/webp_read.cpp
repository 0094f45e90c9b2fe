#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "core/check.h"
#include "io/exif.h"
#include "io/image_codecs.h"

namespace zimage {
namespace {

struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, DeleteDemuxer>;

Demuxer open(const EncodedFile& file) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(file.bytes.data()), file.bytes.size()};
  Demuxer demuxer(WebPDemux(&data));
  check(demuxer != nullptr, file.where,
        ": damaged WebP: cut off, or its chunks contradict each other");
  return demuxer;
}

class FirstFrame {
 public:
  FirstFrame(const EncodedFile& file, WebPDemuxer* demuxer) {
    check(WebPDemuxGetFrame(demuxer, 1, &frame_) != 0, file.where,
          ": damaged WebP: no picture in it");
  }
  ~FirstFrame() { WebPDemuxReleaseIterator(&frame_); }
  FirstFrame(const FirstFrame&) = delete;
  FirstFrame& operator=(const FirstFrame&) = delete;
  const WebPIterator* operator->() const { return &frame_; }

 private:
  WebPIterator frame_{};
};

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "no memory";
    case VP8_STATUS_BITSTREAM_ERROR: return "invalid data";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "unsupported feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the data end too early";
    default: return "sizes contradict each other";
  }
}

// The modes of a VP8 macroblock of 256 pixels alone cost more than a bit, at the probabilities that
// the format fixes for key frames. Lossless pictures of one colour have no such bound.
constexpr double kBestLossyRatio = 256 * 8;  // pixels for a byte

WebPBitstreamFeatures checked_features(const EncodedFile& file, const FirstFrame& frame, int width,
                                       int height) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status =
      WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &features);
  check(status == VP8_STATUS_OK, file.where, ": damaged WebP: ", describe(status));
  check(features.width == frame->width && features.height == frame->height &&
            frame->x_offset + frame->width <= width && frame->y_offset + frame->height <= height,
        file.where, ": damaged WebP: sizes contradict each other");
  constexpr int kLossy = 1;
  if (features.format == kLossy) {
    check_ratio(file, frame->width, frame->height, double{1} * frame->width * frame->height,
                kBestLossyRatio);
  }
  return features;
}

// Where the frame lies in the canvas; what it leaves free is transparent.
struct Canvas {
  int width, height, channels;
  std::vector<std::uint8_t> pixels;
};

void decode_into(const EncodedFile& file, const FirstFrame& frame, Canvas& canvas) {
  const std::size_t stride = static_cast<std::size_t>(canvas.width) * canvas.channels;
  const std::size_t offset = static_cast<std::size_t>(frame->y_offset) * stride +
                             static_cast<std::size_t>(frame->x_offset) * canvas.channels;
  WebPDecoderConfig config;
  check(WebPInitDecoderConfig(&config) != 0, file.where, ": libwebp does not start");
  config.output.colorspace = canvas.channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = canvas.pixels.data() + offset;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = canvas.pixels.size() - offset;
  const VP8StatusCode status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
  check(status == VP8_STATUS_OK, file.where, ": damaged WebP: ", describe(status));
}

int orientation_of(WebPDemuxer* demuxer) {
  WebPChunkIterator chunk{};
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0) {
    orientation = exif_orientation(std::as_bytes(std::span(chunk.chunk.bytes, chunk.chunk.size)));
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

}  // namespace

CodecResult decode_webp(const EncodedFile& file) {
  const Demuxer demuxer = open(file);
  const auto width = static_cast<int>(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH));
  const auto height = static_cast<int>(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT));
  check_size(file, width, height);

  const FirstFrame frame(file, demuxer.get());
  const WebPBitstreamFeatures features = checked_features(file, frame, width, height);
  const bool is_opaque =
      !frame->has_alpha && !features.has_alpha && frame->width == width && frame->height == height;
  Canvas canvas{width, height, is_opaque ? 3 : 4, {}};
  canvas.pixels.resize(static_cast<std::size_t>(width) * height * canvas.channels);
  decode_into(file, frame, canvas);

  CodecResult result;
  if (!is_opaque) result.decoded.alpha = take_alpha(canvas.pixels);
  result.decoded.image = {width, height, std::move(canvas.pixels)};
  result.orientation = orientation_of(demuxer.get());
  return result;
}

}  // namespace zimage
