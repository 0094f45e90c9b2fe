// Against OpenCV's pixels (tests/data/control_map, made by tools/reference/make_control_map.py).
#include "io/control_map.h"

#include <limits>

#include "image_testing.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

using Samples = std::vector<std::uint8_t>;

Samples in_three_channels(const Samples& gray) {
  Samples rgb;
  for (const std::uint8_t level : gray) rgb.insert(rgb.end(), 3, level);
  return rgb;
}

// Calls check(name, picture, what OpenCV makes of it in three channels) for `map`'s golden values.
template <class Check>
void for_each_case(const std::string& map, Check&& check) {
  const auto file = SafetensorsFile::open(test_data("control_map/golden.safetensors"));
  int cases = 0;
  for (const auto& [key, golden] : file.tensors()) {
    if (!key.ends_with(map)) continue;
    const std::string name = key.substr(0, key.size() - map.size());
    const Image image = image_of(file.tensors().at(name + ".source"));
    check(name, image, in_three_channels(samples_of(golden)));
    ++cases;
  }
  EXPECT_EQ(cases, 13);
}

// Black, with white pixels from column `from` on.
Image step_picture(int width, int height, int from) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) image.pixels.insert(image.pixels.end(), 3, x < from ? 0 : 255);
  }
  return image;
}

TEST(GrayMap, EqualsOpenCv) {
  for_each_case(".gray", [](const auto& name, const Image& image, const Samples& golden) {
    const Image map = gray_map(image);
    EXPECT_EQ(map.width, image.width) << name;
    EXPECT_EQ(map.height, image.height) << name;
    EXPECT_EQ(map.pixels, golden) << name;
  });
}

TEST(GrayMap, LeavesGrayAsItIs) {
  Image image{256, 1, {}};
  for (int level = 0; level < 256; ++level) {
    image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(level));
  }
  EXPECT_EQ(gray_map(image).pixels, image.pixels);
}

TEST(CannyMap, EqualsOpenCvAtAnySize) {
  for_each_case(".canny", [](const auto& name, const Image& image, const Samples& golden) {
    const Image map = canny_map(image);
    EXPECT_EQ(map.width, image.width) << name;
    EXPECT_EQ(map.height, image.height) << name;
    EXPECT_EQ(map.pixels, golden) << name;
  });
}

TEST(CannyMap, EqualsOpenCvAtOtherThresholdsInEitherOrder) {
  for_each_case(".fine", [](const auto& name, const Image& image, const Samples& golden) {
    EXPECT_EQ(canny_map(image, 20.5, 61).pixels, golden) << name;
    EXPECT_EQ(canny_map(image, 61, 20.5).pixels, golden) << name;
  });
}

TEST(CannyMap, DrawsAStepAsOneLine) {
  const Image map = canny_map(step_picture(6, 4, 3));
  // Both sides of the step have the same gradient; the first one is the edge.
  const Samples row = in_three_channels({0, 0, 255, 0, 0, 0});
  for (int y = 0; y < 4; ++y) {
    const auto begin = map.pixels.begin() + y * 18;
    EXPECT_EQ(Samples(begin, begin + 18), row) << y;
  }
}

TEST(CannyMap, FollowsAVeryLongEdge) {
  const Image map = canny_map(step_picture(3, 300'000, 1));
  EXPECT_EQ(std::count(map.pixels.begin(), map.pixels.end(), 255), 3 * 300'000);
}

TEST(CannyMap, IsBlackAboveEveryGradient) {
  const Image image = step_picture(6, 4, 3);
  EXPECT_EQ(canny_map(image, 1e300, 1e300).pixels, Samples(image.pixels.size()));
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(canny_map(image, -infinity, infinity).pixels, Samples(image.pixels.size()));
}

TEST(CannyMap, RefusesThresholdsThatAreNoNumbers) {
  const Image image = step_picture(6, 4, 3);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(error_of([&] { return canny_map(image, nan, 200); }),
            "canny: thresholds nan and 200, expected numbers");
}

TEST(ControlMap, RefusesPicturesThatAreNotWhatTheySay) {
  EXPECT_EQ(error_of([] { return gray_map(Image()); }), "gray: a picture of 0 x 0 pixels");
  EXPECT_EQ(error_of([] {
              return canny_map(Image{2, 1, Samples(5)});
            }),
            "canny: a picture of 2 x 1 pixels has 5 bytes, expected 6");
}

}  // namespace
}  // namespace zimage
