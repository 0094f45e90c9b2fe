// Pictures of tests/data/image (made by tools/reference/make_image.py) against their known pixels.
#include <gmock/gmock.h>

#include "image_testing.h"
#include "io/exif.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

using testing::HasSubstr;

class ImageDecode : public testing::Test {
 protected:
  // The largest difference of any sample of the file, alpha included.
  int difference_from_expected(const std::string& name) const {
    SCOPED_TRACE(name);
    const DecodedImage decoded = decode_image(file_bytes(name), name);
    const Tensor& rgb = expected_.tensors().at(name);
    EXPECT_EQ(str(Shape{decoded.image.height, decoded.image.width, 3}), str(rgb.shape()));
    const auto alpha = expected_.tensors().find(name + ".alpha");
    const bool has_alpha = alpha != expected_.tensors().end();
    const int alpha_difference = difference(
        decoded.alpha, has_alpha ? samples_of(alpha->second) : std::vector<std::uint8_t>());
    return std::max(difference(decoded.image.pixels, samples_of(rgb)), alpha_difference);
  }

  std::vector<std::string> names_ending_in(const std::string& ending) const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : expected_.tensors()) {
      if (name.ends_with(ending)) names.push_back(name);
    }
    return names;
  }

 private:
  SafetensorsFile expected_ = SafetensorsFile::open(test_data("image/expected.safetensors"));
};

TEST_F(ImageDecode, PngOfEveryKindIsExact) {
  const auto names = names_ending_in(".png");
  ASSERT_GE(names.size(), 40u);
  for (const std::string& name : names) EXPECT_EQ(difference_from_expected(name), 0) << name;
}

TEST_F(ImageDecode, LosslessAndLossyWebpEqualPillow) {
  const auto names = names_ending_in(".webp");
  ASSERT_GE(names.size(), 6u);
  // Lossy as well: VP8 fixes the decoder's arithmetic, and the upsampling of chroma has not
  // changed.
  for (const std::string& name : names) EXPECT_EQ(difference_from_expected(name), 0) << name;
}

TEST_F(ImageDecode, JpegOfEveryKindIsWithinTwoLevelsOfPillow) {
  const auto names = names_ending_in(".jpg");
  ASSERT_GE(names.size(), 17u);
  // The standard leaves the inverse DCT a level of freedom, and colour conversion adds one.
  for (const std::string& name : names) EXPECT_LE(difference_from_expected(name), 2) << name;
}

TEST_F(ImageDecode, AdobeInvertsInksOnlyWhereItsMarkerSaysSo) {
  Bytes file = file_bytes("cmyk.jpg");
  const DecodedImage adobe = decode_image(file, "cmyk.jpg");
  const auto marker = text_of(file).find("Adobe");
  file[marker] = std::byte{'a'};  // an unknown APP14
  const DecodedImage plain = decode_image(file, "plain.jpg");
  // White paper: no ink at all becomes full ink.
  const auto brightest = std::max_element(adobe.image.pixels.begin(), adobe.image.pixels.end());
  EXPECT_GT(*brightest, 230);
  EXPECT_LT(plain.image.pixels[brightest - adobe.image.pixels.begin()], 30);
}

TEST_F(ImageDecode, TextsOfPngAreUtf8WhateverTheirChunk) {
  const ImageMetadata metadata = decode_image(file_bytes("texts.png"), "texts.png").metadata;
  EXPECT_EQ(metadata.parameters, "caf\xc3\xa9");  // Latin-1 tEXt before the pixels
  EXPECT_EQ(metadata.zimage_json, "{\"prompt\": \"\xe7\x8c\xab\"}");  // compressed iTXt behind them
}

TEST_F(ImageDecode, TextsThatUnpackToMegabytesAreLeftOut) {
  const DecodedImage decoded = decode_image(file_bytes("text_bomb.png"), "text_bomb.png");
  EXPECT_EQ(decoded.metadata.parameters, "");
  EXPECT_EQ(decoded.metadata.zimage_json, "");
}

TEST_F(ImageDecode, ContentDecidesNotTheName) {
  TempDir folder;
  write_file(folder / "really_webp.jpg", file_bytes("lossless.webp"));
  const DecodedImage decoded = read_image(folder / "really_webp.jpg");
  EXPECT_EQ(decoded.image.width, 41);
}

TEST_F(ImageDecode, WhatFollowsThePictureIsIgnored) {
  const Bytes zip = bytes_of("PK\3\4 and so on");
  for (const char* name :
       {"rgb8.png", "444.jpg", "progressive.jpg", "lossless.webp", "lossy.webp"}) {
    const DecodedImage alone = decode_image(file_bytes(name), name);
    const DecodedImage polyglot = decode_image(joined(file_bytes(name), zip), name);
    EXPECT_EQ(polyglot.image.pixels, alone.image.pixels) << name;
  }
}

TEST_F(ImageDecode, RefusesMorePixelsThanAllowed) {
  for (const char* name : {"rgb8.png", "444.jpg", "lossless.webp", "animated.webp"}) {
    const Bytes file = file_bytes(name);
    const Image image = decode_image(file, name).image;
    const std::int64_t pixels = std::int64_t{image.width} * image.height;
    EXPECT_NO_THROW(decode_image(file, name, pixels));
    EXPECT_EQ(error_of([&] { return decode_image(file, name, pixels - 1); }),
              str(name, ": ", image.width, " x ", image.height, " pixels, at most ", pixels - 1,
                  " are read"));
  }
}

TEST_F(ImageDecode, NamesTheFileThatIsMissing) {
  TempDir folder;
  EXPECT_THAT(error_of([&] { return read_image(folder / "none.png"); }), HasSubstr("none.png"));
}

TEST(Exif, OrientationOfEitherByteOrderAndPrefix) {
  const std::string little{"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26};
  const std::string big{"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0", 26};
  EXPECT_EQ(exif_orientation(bytes_of(little)), 6);
  EXPECT_EQ(exif_orientation(bytes_of(big)), 6);
  EXPECT_EQ(exif_orientation(bytes_of(std::string("Exif\0\0", 6) + big)), 6);
}

TEST(Exif, DamagedBlocksMeanUpright) {
  const std::string good{"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26};
  for (std::size_t size = 0; size < 20; ++size) {  // the value ends at byte 20
    EXPECT_EQ(exif_orientation(bytes_of(good.substr(0, size))), 1) << size;
  }
  const auto changed = [&](std::size_t at, char byte) {
    std::string bad = good;
    bad[at] = byte;
    return exif_orientation(bytes_of(bad));
  };
  EXPECT_EQ(changed(0, 'X'), 1);
  EXPECT_EQ(changed(2, 43), 1);
  EXPECT_EQ(changed(7, '\xff'), 1);  // IFD outside
  EXPECT_EQ(changed(9, '\xff'), 6);  // more entries than there are
  EXPECT_EQ(changed(12, 4), 1);      // not a short
  EXPECT_EQ(changed(14, 2), 1);      // two values
  EXPECT_EQ(changed(18, 0), 1);
  EXPECT_EQ(changed(18, 9), 1);
}

}  // namespace
}  // namespace zimage
