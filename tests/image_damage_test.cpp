// Damaged, lying and hostile files: one Error that names the file, or a picture; never a crash,
// never half a picture.
#include <gmock/gmock.h>

#include "image_testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

// The reason why `file` is refused; "" where it is a picture. Checks the form of the message.
std::string refusal(const Bytes& file) {
  const std::string message = error_of([&] { return decode_image(file, "a.file"); });
  if (message.empty()) return message;
  EXPECT_TRUE(message.starts_with("a.file: ")) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message.substr(8);
}

// What remains true of any picture that is not refused.
void expect_picture_or_error(const Bytes& file) {
  try {
    const DecodedImage decoded = decode_image(file, "a.file", 1 << 20);
    const auto pixels = static_cast<std::size_t>(decoded.image.width) * decoded.image.height;
    EXPECT_EQ(decoded.image.pixels.size(), 3 * pixels);
    EXPECT_TRUE(decoded.alpha.empty() || decoded.alpha.size() == pixels);
  } catch (const Error&) {
  }
}

Bytes changed(Bytes file, std::size_t at, const Bytes& with) {
  std::copy(with.begin(), with.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
  return file;
}

Bytes png_of(std::uint64_t width, std::uint64_t height, const Bytes& chunks_after_header) {
  Bytes header = joined(big_endian(width, 4), big_endian(height, 4));
  header = joined(header, {std::byte{8}, std::byte{2}, {}, {}, {}});
  return joined(joined(bytes_of(kPngSignature), png_chunk("IHDR", header)), chunks_after_header);
}

// A JPEG's frame header: "\xff\xc0", its length, 8 bits, height, width.
std::size_t frame_header_of(const Bytes& file) {
  const std::size_t baseline = text_of(file).find("\xff\xc0");
  return baseline != std::string_view::npos ? baseline : text_of(file).find("\xff\xc2");
}

const std::vector<std::string> kSamples = {"rgb8.png",
                                           "rgba16_interlaced.png",
                                           "palette4_alpha.png",
                                           "texts.png",
                                           "444.jpg",
                                           "progressive.jpg",
                                           "cmyk.jpg",
                                           "restart.jpg",
                                           "lossless.webp",
                                           "lossy.webp",
                                           "lossless_alpha.webp",
                                           "lossy_alpha.webp",
                                           "animated.webp",
                                           "orientation6.webp"};

// Codecs that print are caught as well.
class ImageDamage : public testing::Test {
 protected:
  void SetUp() override { testing::internal::CaptureStderr(); }
  void TearDown() override { EXPECT_EQ(testing::internal::GetCapturedStderr(), ""); }
};

TEST_F(ImageDamage, EmptyAndForeignFilesAreNamedForWhatTheyAre) {
  EXPECT_EQ(refusal({}), "an empty file, expected PNG, JPEG or WebP");
  EXPECT_EQ(refusal(bytes_of("GIF89a and more")),
            "starts with \"GIF89a a\", which is no PNG, JPEG or WebP");
  EXPECT_EQ(refusal(Bytes(3)), "starts with \"\\x00\\x00\\x00\", which is no PNG, JPEG or WebP");
  EXPECT_THAT(refusal(bytes_of("RIFF\4\0\0\0WAVEfmt ")), HasSubstr("no PNG, JPEG or WebP"));
}

TEST_F(ImageDamage, TheFirstBytesDecideWhatAPolyglotIs) {
  EXPECT_THAT(refusal(joined(bytes_of(kPngSignature), file_bytes("444.jpg"))),
              HasSubstr("damaged PNG"));
  EXPECT_THAT(refusal(joined(bytes_of("\xff\xd8\xff"), file_bytes("rgb8.png"))),
              HasSubstr("damaged JPEG"));
}

TEST_F(ImageDamage, EveryTruncationIsAnError) {
  for (const std::string& name : kSamples) {
    const Bytes file = file_bytes(name);
    ASSERT_EQ(refusal(file), "") << name;
    for (std::size_t size = 0; size < file.size(); ++size) {
      EXPECT_NE(refusal({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)}), "")
          << name << " cut to " << size << " of " << file.size() << " bytes";
    }
  }
}

TEST_F(ImageDamage, EveryFlippedBitOfAPngIsAnError) {
  const Bytes file = file_bytes("palette4_alpha.png");
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes damaged = file;
    damaged[bit / 8] ^= std::byte(1 << (bit % 8));
    EXPECT_NE(refusal(damaged), "") << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST_F(ImageDamage, FlippedBitsNeverDoMoreThanChangeThePicture) {
  for (const std::string& name : kSamples) {
    SCOPED_TRACE(name);
    const Bytes file = file_bytes(name);
    for (std::size_t i = 0; i < file.size(); ++i) {
      for (const int bits : {0x01, 0x80, 0xff}) {
        Bytes damaged = file;
        damaged[i] ^= std::byte(bits);
        expect_picture_or_error(damaged);
      }
    }
  }
}

TEST_F(ImageDamage, PngHeaderWithImpossibleSizesTakesNoMemory) {
  const Bytes data = joined(png_chunk("IDAT", Bytes(20)), png_chunk("IEND", {}));
  EXPECT_EQ(refusal(png_of(0x7fffffff, 0x7fffffff, data)),
            "2147483647 x 2147483647 pixels, at most 268435456 are read");
  const Bytes end = png_chunk("IEND", {});
  EXPECT_THAT(refusal(png_of(std::uint64_t{1} << 31, std::uint64_t{1} << 31, end)),
              HasSubstr("damaged PNG"));
  EXPECT_THAT(refusal(png_of(0, 1, end)), HasSubstr("damaged PNG"));
  const Bytes file = png_of(16384, 16384, data);
  EXPECT_EQ(refusal(file), str(file.size(),
                               " bytes cannot hold the 16384 x 16384 pixels that the "
                               "header names"));
}

TEST_F(ImageDamage, PngChunkThatClaimsMoreThanTheFileHoldsTakesNoMemory) {
  for (const char* name : {"iTXt", "eXIf", "PLTE", "IDAT", "none"}) {
    Bytes chunk = png_chunk(name, Bytes(20));
    chunk = changed(chunk, 0, big_endian(0x7fffffff, 4));
    EXPECT_EQ(refusal(png_of(1, 1, chunk)),
              "damaged PNG: the chunk at byte 33 runs past the end of the file");
  }
}

TEST_F(ImageDamage, PngWithTooFewRowsIsAnError) {
  // zlib, stored: one row (filter 0, three samples) of the two that the header names.
  const std::string one_row{"\x78\x01\x01\4\0\xfb\xff\0\1\2\3\0\x0e\0\7", 15};
  const Bytes chunks = joined(png_chunk("IDAT", bytes_of(one_row)), png_chunk("IEND", {}));
  EXPECT_EQ(refusal(png_of(1, 1, chunks)), "");
  EXPECT_THAT(refusal(png_of(1, 2, chunks)), HasSubstr("damaged PNG"));
}

TEST_F(ImageDamage, ThousandsOfTextChunksAreNoHarm) {
  const Bytes file = file_bytes("rgb8.png");
  constexpr std::ptrdiff_t kHeader = 8 + 25;
  Bytes many(file.begin(), file.begin() + kHeader);
  const Bytes text = png_chunk("tEXt", bytes_of(std::string("key\0value", 9)));
  for (int i = 0; i < 5000; ++i) many.insert(many.end(), text.begin(), text.end());
  many.insert(many.end(), file.begin() + kHeader, file.end());
  EXPECT_EQ(refusal(many), "");
}

TEST_F(ImageDamage, AJpegOfThousandsOfScansIsRefused) {
  const Bytes file = file_bytes("progressive.jpg");
  // The first scan, which may be repeated: refinements would change what they refine.
  const auto scan = file.begin() + static_cast<std::ptrdiff_t>(text_of(file).find("\xff\xda"));
  const auto next = text_of(file).find("\xff\xc4", static_cast<std::size_t>(scan - file.begin()));
  const auto scan_end = file.begin() + static_cast<std::ptrdiff_t>(next);
  Bytes many(file.begin(), scan_end);
  for (int i = 0; i < 2000; ++i) many.insert(many.end(), scan, scan_end);
  many.insert(many.end(), scan_end, file.end());
  EXPECT_EQ(refusal(many), "damaged JPEG: more than 64 scans");
}

TEST_F(ImageDamage, AJpegThatLiesAboutItsSizeIsRefused) {
  for (const char* name : {"444.jpg", "420.jpg", "grey.jpg"}) {
    const Bytes file = file_bytes(name);
    const std::size_t size_at = frame_header_of(file) + 5;
    EXPECT_THAT(refusal(changed(file, size_at, big_endian(200, 2))), HasSubstr("damaged JPEG"))
        << name;
    EXPECT_THAT(refusal(changed(file, size_at, big_endian(0x3e803e80, 4))),
                HasSubstr("cannot hold the 16000 x 16000 pixels"))
        << name;
    EXPECT_EQ(refusal(changed(file, size_at, big_endian(0xffdcffdc, 4))),
              "65500 x 65500 pixels, at most 268435456 are read");
  }
}

TEST_F(ImageDamage, AWebpThatLiesAboutItsSizeIsRefused) {
  const std::string kDamaged = "damaged WebP";
  const Bytes lossy = file_bytes("lossy.webp"), alpha = file_bytes("lossy_alpha.webp");
  EXPECT_THAT(refusal(changed(lossy, 4, bytes_of("\xff\xff\xff\x7f"))), HasSubstr(kDamaged));
  EXPECT_THAT(refusal(changed(lossy, 16, bytes_of("\xff\xff\xff\x7f"))), HasSubstr(kDamaged));
  EXPECT_THAT(refusal(changed(lossy, 26, bytes_of("\xff\x01\xff\x01"))), HasSubstr(kDamaged));
  EXPECT_THAT(refusal(changed(lossy, 26, bytes_of("\xff\x3f\xff\x3f"))),
              HasSubstr("cannot hold the 16383 x 16383 pixels"));
  // The canvas of the extended format, 24 bits a side: beside the frame's size, then beyond any.
  EXPECT_THAT(refusal(changed(alpha, 24, bytes_of("\x2f"))), HasSubstr(kDamaged));
  EXPECT_NE(refusal(changed(alpha, 24, Bytes(6, std::byte{0xff}))), "");
}

}  // namespace
}  // namespace zimage
