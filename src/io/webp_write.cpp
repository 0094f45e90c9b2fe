#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "core/check.h"
#include "io/exif.h"
#include "io/image_codecs.h"
#include "io/image_text.h"

namespace zimage {
namespace {

struct Picture : WebPPicture {
  Picture() { check(WebPPictureInit(this) != 0, "WebP: libwebp does not start"); }
  ~Picture() { WebPPictureFree(this); }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
};

struct Output : WebPMemoryWriter {
  Output() { WebPMemoryWriterInit(this); }
  ~Output() { WebPMemoryWriterClear(this); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
};

struct AssembledFile : WebPData {
  AssembledFile() { WebPDataInit(this); }
  ~AssembledFile() { WebPDataClear(this); }
  AssembledFile(const AssembledFile&) = delete;
  AssembledFile& operator=(const AssembledFile&) = delete;
};

struct DeleteMux {
  void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
};

std::vector<std::byte> to_vector(const std::uint8_t* data, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  return {begin, begin + size};
}

std::vector<std::byte> compress(const Image& image, int quality) {
  WebPConfig config;
  check(WebPConfigInit(&config) != 0, "WebP: libwebp does not start");
  config.quality = static_cast<float>(quality);

  Picture picture;
  Output output;
  picture.width = image.width;
  picture.height = image.height;
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = static_cast<WebPMemoryWriter*>(&output);
  const bool done = WebPPictureImportRGB(&picture, image.pixels.data(), image.width * 3) != 0 &&
                    WebPEncode(&config, &picture) != 0;
  check(done, "WebP of ", image.width, " x ", image.height, ": libwebp's error ",
        picture.error_code);
  return to_vector(output.mem, output.size);
}

void set_chunk(WebPMux* mux, const char* name, const void* data, std::size_t size) {
  const WebPData chunk{static_cast<const std::uint8_t*>(data), size};
  const WebPMuxError error = WebPMuxSetChunk(mux, name, &chunk, /*copy_data=*/1);
  check(error == WEBP_MUX_OK, "WebP: chunk ", name, " of ", size, " bytes: libwebpmux's error ",
        error);
}

std::vector<std::byte> with_metadata(const std::vector<std::byte>& file,
                                     const ImageMetadata& metadata) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
  const std::unique_ptr<WebPMux, DeleteMux> mux(WebPMuxCreate(&data, /*copy_data=*/0));
  check(mux != nullptr, "WebP: libwebpmux does not start");
  if (!metadata.parameters.empty()) {
    const std::vector<std::byte> exif = exif_with_user_comment(metadata.parameters);
    set_chunk(mux.get(), "EXIF", exif.data(), exif.size());
  }
  if (!metadata.zimage_json.empty()) {
    const std::string xmp = xmp_packet(metadata.zimage_json);
    set_chunk(mux.get(), "XMP ", xmp.data(), xmp.size());
  }
  AssembledFile assembled;
  const WebPMuxError error = WebPMuxAssemble(mux.get(), &assembled);
  check(error == WEBP_MUX_OK, "WebP with metadata: libwebpmux's error ", error);
  return to_vector(assembled.bytes, assembled.size);
}

}  // namespace

std::vector<std::byte> encode_webp(const Image& image, const EncodeOptions& options) {
  check(image.width <= WEBP_MAX_DIMENSION && image.height <= WEBP_MAX_DIMENSION, "WebP of ",
        image.width, " x ", image.height, ": at most ", WEBP_MAX_DIMENSION,
        " pixels a side, write a PNG instead");
  std::vector<std::byte> file = compress(image, options.quality);
  const ImageMetadata& metadata = options.metadata;
  if (metadata.parameters.empty() && metadata.zimage_json.empty()) return file;
  return with_metadata(file, metadata);
}

}  // namespace zimage
