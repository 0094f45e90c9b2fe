#include <gmock/gmock.h>

#include "image_testing.h"
#include "zimage/log.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr ImageFormat kFormats[] = {ImageFormat::kPng, ImageFormat::kJpeg, ImageFormat::kWebp};

// A cat in Chinese, a cat as emoji (two units of UTF-16), what XML escapes.
const std::string kCats = "\xe7\x8c\xab \xf0\x9f\x90\x88 <&>";
const std::string kCatsUtf16{"\x73\x2b\0 \xd8\x3d\xdc\x08\0 \0<\0&\0>", 16};

EncodeOptions with_metadata(const std::string& parameters, const std::string& json) {
  EncodeOptions options;
  options.metadata = {parameters, json};
  return options;
}

double psnr(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const double d = double{1} * a.pixels[i] - b.pixels[i];
    sum += d * d;
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.pixels.size()) / sum);
}

// The log of a scope.
class Log {
 public:
  Log() {
    set_log_sink([this](LogLevel, std::string_view message) { text_ += std::string(message); });
  }
  ~Log() { set_log_sink({}); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

TEST(ImageEncode, PngGivesBackPixelsAndMetadata) {
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 3}, {257, 65}}) {
    const Image image = test_picture(width, height);
    const auto options = with_metadata(kCats + "\nSteps: 9", "{\"prompt\": \"" + kCats + "\"}");
    const Bytes file = encode_image(image, ImageFormat::kPng, options);
    const DecodedImage decoded = decode_image(file, "a.png");
    EXPECT_EQ(decoded.image.width, width);
    EXPECT_EQ(decoded.image.height, height);
    EXPECT_EQ(decoded.image.pixels, image.pixels);
    EXPECT_TRUE(decoded.alpha.empty());
    EXPECT_EQ(decoded.metadata.parameters, options.metadata.parameters);
    EXPECT_EQ(decoded.metadata.zimage_json, options.metadata.zimage_json);
  }
}

TEST(ImageEncode, PngHoldsUncompressedUtf8AheadOfThePixelsAndSaysSrgb) {
  const Bytes file =
      encode_image(test_picture(9, 9), ImageFormat::kPng, with_metadata(kCats, "{\"a\":1}"));
  const std::string_view text = text_of(file);
  const std::size_t parameters = text.find(std::string("iTXtparameters\0\0\0\0\0", 19) + kCats);
  const std::size_t json = text.find(std::string("iTXtzimage\0\0\0\0\0", 15) + "{\"a\":1}");
  ASSERT_NE(parameters, std::string_view::npos);
  ASSERT_NE(json, std::string_view::npos);
  EXPECT_LT(parameters, text.find("IDAT"));
  EXPECT_LT(json, text.find("IDAT"));
  EXPECT_TRUE(holds(file, std::string("\0\0\0\1sRGB\0", 9)));
  EXPECT_FALSE(holds(file, "tEXt"));
}

TEST(ImageEncode, EmptyMetadataLeavesNoTrace) {
  for (const ImageFormat format : kFormats) {
    const Bytes file = encode_image(test_picture(9, 9), format);
    for (const char* mark : {"iTXt", "tIME", "Exif", "EXIF", "XMP ", "xpacket"}) {
      EXPECT_FALSE(holds(file, mark)) << mark;
    }
  }
}

TEST(ImageEncode, JpegHoldsUserCommentAndXmp) {
  const Bytes file =
      encode_image(test_picture(9, 9), ImageFormat::kJpeg, with_metadata(kCats, "{\"a\":\"<\"}"));
  EXPECT_TRUE(holds(file, std::string("Exif\0\0MM\0*\0\0\0\x08", 14)));
  EXPECT_TRUE(holds(file, std::string("UNICODE\0", 8) + kCatsUtf16));
  EXPECT_TRUE(holds(file, std::string("http://ns.adobe.com/xap/1.0/\0<?xpacket", 38)));
  EXPECT_TRUE(holds(file, "<zimage:record>{\"a\":\"&lt;\"}</zimage:record>"));
}

TEST(ImageEncode, WebpHoldsUserCommentAndXmp) {
  const Bytes file =
      encode_image(test_picture(9, 9), ImageFormat::kWebp, with_metadata(kCats, "{\"a\":\"<\"}"));
  EXPECT_TRUE(holds(file, std::string("MM\0*\0\0\0\x08", 8)));
  EXPECT_FALSE(holds(file, "Exif"));
  EXPECT_TRUE(holds(file, std::string("UNICODE\0", 8) + kCatsUtf16));
  EXPECT_TRUE(holds(file, "<zimage:record>{\"a\":\"&lt;\"}</zimage:record>"));
  EXPECT_EQ(decode_image(file, "a.webp").image.width, 9);
}

TEST(ImageEncode, TextThatIsNoUtf8IsMadeReadable) {
  const std::string bad{"a\xff\xe7\x8c!\0b\xed\xa0\x80", 10};
  const std::string readable = "a\ufffd\ufffd\ufffd!\ufffdb\ufffd\ufffd\ufffd";
  const Bytes file = encode_image(test_picture(2, 2), ImageFormat::kPng, with_metadata(bad, bad));
  const ImageMetadata metadata = decode_image(file, "a.png").metadata;
  EXPECT_EQ(metadata.parameters, readable);
  EXPECT_EQ(metadata.zimage_json, readable);
}

TEST(ImageEncode, LossyFormatsComeCloseAndCloserWithQuality) {
  const Image image = test_picture(65, 47);
  // WebP always halves chroma, which costs at the coloured edge of the picture.
  for (const auto& [format, best] : {std::pair{ImageFormat::kJpeg, 38}, {ImageFormat::kWebp, 33}}) {
    double before = 20;
    for (const int quality : {20, 60, 95}) {
      const Bytes file = encode_image(image, format, {.quality = quality, .metadata = {}});
      const double now = psnr(decode_image(file, "a").image, image);
      EXPECT_GT(now, before) << "quality " << quality;
      before = now;
    }
    EXPECT_GT(before, best);
  }
}

TEST(ImageEncode, JpegKeepsFullColourFromQuality90) {
  const auto sampling_of_luma = [](int quality) {
    const Bytes file = encode_image(test_picture(20, 20), ImageFormat::kJpeg,
                                    {.quality = quality, .metadata = {}});
    return std::to_integer<int>(file.at(text_of(file).find("\xff\xc0") + 11));
  };
  EXPECT_EQ(sampling_of_luma(89), 0x22);
  EXPECT_EQ(sampling_of_luma(90), 0x11);
}

TEST(ImageEncode, SamePictureSameBytes) {
  const auto options = with_metadata("a cat", "{}");
  for (const ImageFormat format : kFormats) {
    const Bytes once = encode_image(test_picture(200, 100), format, options);
    ThreadCount threads(3);
    EXPECT_EQ(encode_image(test_picture(200, 100), format, options), once);
  }
}

TEST(ImageEncode, LongMetadataIsKeptWhereTheFormatHoldsIt) {
  const std::string parameters(100000, 'p'), json(100000, 'j');
  Log log;
  const Bytes png =
      encode_image(test_picture(2, 2), ImageFormat::kPng, with_metadata(parameters, json));
  EXPECT_EQ(decode_image(png, "a.png").metadata.parameters, parameters);
  EXPECT_EQ(decode_image(png, "a.png").metadata.zimage_json, json);
  const Bytes webp =
      encode_image(test_picture(2, 2), ImageFormat::kWebp, with_metadata(parameters, json));
  EXPECT_TRUE(holds(webp, json));
  EXPECT_EQ(decode_image(webp, "a.webp").image.width, 2);
  EXPECT_EQ(log.text(), "");
}

TEST(ImageEncode, MetadataBeyondTheFormatIsLeftOutWithAWarning) {
  const std::string long_text(40000, 'p'), longest_text((2 << 20) + 1, 'p');
  {
    Log log;
    const Bytes jpeg =
        encode_image(test_picture(2, 2), ImageFormat::kJpeg, with_metadata(long_text, "{}"));
    EXPECT_EQ(
        log.text(),
        "JPEG EXIF with the parameters: 80058 bytes, at most 65533 fit; left out of the file");
    EXPECT_TRUE(holds(jpeg, "<zimage:record>{}"));
    EXPECT_FALSE(holds(jpeg, "Exif"));
  }
  Log log;
  const Bytes png =
      encode_image(test_picture(2, 2), ImageFormat::kPng, with_metadata(longest_text, "{}"));
  EXPECT_THAT(log.text(), HasSubstr("PNG chunk \"parameters\": 2097153 bytes"));
  EXPECT_EQ(decode_image(png, "a.png").metadata.zimage_json, "{}");
}

TEST(ImageEncode, LargestJpegSegmentFits) {
  // Exif prefix, TIFF header, two directories, character code: 58 bytes; then two for a letter.
  const std::string fitting((65533 - 58) / 2, 'p');
  Log log;
  const Bytes jpeg =
      encode_image(test_picture(2, 2), ImageFormat::kJpeg, with_metadata(fitting, ""));
  EXPECT_TRUE(holds(jpeg, "Exif"));
  EXPECT_EQ(decode_image(jpeg, "a.jpg").image.width, 2);
  EXPECT_EQ(log.text(), "");
}

TEST(ImageEncode, SizesBeyondTheFormatAreErrors) {
  const auto encode = [](int width, ImageFormat format) {
    return error_of([&] { return encode_image(test_picture(width, 1), format); });
  };
  EXPECT_EQ(encode(65500, ImageFormat::kJpeg), "");
  EXPECT_EQ(encode(65501, ImageFormat::kJpeg),
            "JPEG of 65501 x 1: at most 65500 pixels a side, write a PNG instead");
  EXPECT_EQ(encode(16383, ImageFormat::kWebp), "");
  EXPECT_EQ(encode(16384, ImageFormat::kWebp),
            "WebP of 16384 x 1: at most 16383 pixels a side, write a PNG instead");
  EXPECT_EQ(encode(1000001, ImageFormat::kPng), "");
}

TEST(ImageEncode, RefusesPicturesAndOptionsThatMakeNoSense) {
  for (const ImageFormat format : kFormats) {
    const auto encode = [&](const Image& image, int quality) {
      return error_of([&] { encode_image(image, format, {.quality = quality, .metadata = {}}); });
    };
    EXPECT_EQ(encode({}, 95), "a picture of 0 x 0 pixels cannot be stored");
    EXPECT_EQ(encode({-1, -1, {1, 2, 3}}, 95), "a picture of -1 x -1 pixels cannot be stored");
    EXPECT_EQ(encode({2, 1, {1, 2, 3}}, 95), "a picture of 2 x 1 pixels has 3 bytes, expected 6");
    EXPECT_EQ(encode(test_picture(1, 1), 0), "quality 0, expected 1 to 100");
    EXPECT_EQ(encode(test_picture(1, 1), 101), "quality 101, expected 1 to 100");
  }
}

TEST(ImageFormatOf, FollowsTheEnding) {
  EXPECT_EQ(image_format_of("a.png"), ImageFormat::kPng);
  EXPECT_EQ(image_format_of("a.b/c"), ImageFormat::kPng);
  EXPECT_EQ(image_format_of("a.PNG"), ImageFormat::kPng);
  EXPECT_EQ(image_format_of("a.Jpg"), ImageFormat::kJpeg);
  EXPECT_EQ(image_format_of("a.png.jpeg"), ImageFormat::kJpeg);
  EXPECT_EQ(image_format_of("a.webp"), ImageFormat::kWebp);
  EXPECT_THROW(image_format_of("a."), UsageError);
  EXPECT_EQ(error_of([] { return image_format_of("folder/a.bmp"); }),
            "folder/a.bmp: no format for the ending .bmp, expected .png, .jpg, .jpeg or .webp");
}

TEST(WriteImage, WritesWhatTheEndingSays) {
  TempDir folder;
  for (const char* name : {"a.png", "a.jpg", "a.webp", "a"}) {
    write_image(folder / name, test_picture(17, 5));
    EXPECT_EQ(read_image(folder / name).image.width, 17) << name;
  }
  EXPECT_TRUE(text_of(read_file(folder / "a.jpg", 10000)).starts_with("\xff\xd8\xff"));
  EXPECT_TRUE(text_of(read_file(folder / "a", 10000)).starts_with("\x89PNG"));
}

TEST(WriteImage, LeavesNothingBehindWhenItFails) {
  TempDir folder;
  EXPECT_THROW(write_image(folder / "a.bmp", test_picture(1, 1)), UsageError);
  EXPECT_THROW(write_image(folder / "a.webp", test_picture(16384, 1)), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace zimage
