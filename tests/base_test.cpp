// Opt-in: ZIMAGE_TEST_BASE names Z-Image, the undistilled model ("base", a snapshot folder, ...).
// It needs the real weights (20 GB) and minutes, so that without the variable nothing runs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "zimage/pipeline.h"

namespace zimage {
namespace {

// Standard deviation of all samples, in levels.
double deviation(const Image& image) {
  double sum = 0, squares = 0;
  for (const std::uint8_t sample : image.pixels) {
    sum += sample;
    squares += double(sample) * sample;
  }
  const auto count = static_cast<double>(image.pixels.size());
  return std::sqrt(squares / count - (sum / count) * (sum / count));
}

TEST(Base, DrawsWithItsOwnDefaultsAt512) {
  const char* model = std::getenv("ZIMAGE_TEST_BASE");
  if (model == nullptr) GTEST_SKIP() << "ZIMAGE_TEST_BASE is not set";
  Pipeline pipeline(model);
  GenerateOptions options = pipeline.defaults();
  EXPECT_EQ(options.width, 1024);
  EXPECT_EQ(options.steps, 50);
  EXPECT_EQ(options.guidance_scale, 4.0f);
  options.prompt = "a red fox in the snow";
  options.negative_prompt = "blurry";
  options.width = options.height = 512;
  options.steps = 12;
  options.seed = 42;
  const Image first = pipeline.generate(options).front();
  EXPECT_EQ(first.width, 512);
  EXPECT_GT(deviation(first), 10);   // neither flat
  EXPECT_LT(deviation(first), 120);  // nor black and white specks
  EXPECT_EQ(pipeline.generate(options).front().pixels, first.pixels);
}

}  // namespace
}  // namespace zimage
