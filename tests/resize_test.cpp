// Against Pillow's pixels (tests/data/resize, made by tools/reference/make_resize.py).
#include "io/resize.h"

#include "image_testing.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

using Samples = std::vector<std::uint8_t>;

// A gray picture in three equal channels, which resizing leaves equal: [height, width].
Image image_of_gray(const Tensor& t) {
  Image image{static_cast<int>(t.dim(1)), static_cast<int>(t.dim(0)), {}};
  for (const std::uint8_t level : samples_of(t)) image.pixels.insert(image.pixels.end(), 3, level);
  return image;
}

Samples first_channel(const Image& image) {
  Samples samples;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) samples.push_back(image.pixels[i]);
  return samples;
}

// The samples of `source`, [height, width] or [height, width, 3], at the size of `like`.
Samples resized(const Tensor& source, const Tensor& like) {
  const int width = static_cast<int>(like.dim(1)), height = static_cast<int>(like.dim(0));
  if (source.shape().rank() == 2) {
    return first_channel(resize_lanczos(image_of_gray(source), width, height));
  }
  return resize_lanczos(image_of(source), width, height).pixels;
}

// Runs check(name, source, what Pillow makes of it) for every case.
template <class Check>
int for_each_case(Check&& check) {
  const auto file = SafetensorsFile::open(test_data("resize/golden.safetensors"));
  const std::string ending = ".source";
  int cases = 0;
  for (const auto& [key, source] : file.tensors()) {
    if (!key.ends_with(ending)) continue;
    const std::string name = key.substr(0, key.size() - ending.size());
    check(name, source, file.tensors().at(name + ".resized"));
    ++cases;
  }
  return cases;
}

TEST(Resize, EqualsPillowAtAnySize) {
  const int cases = for_each_case([](const auto& name, const Tensor& source, const Tensor& golden) {
    EXPECT_EQ(resized(source, golden), samples_of(golden)) << name;
  });
  EXPECT_EQ(cases, 42);
}

TEST(Resize, DoesNotDependOnTheNumberOfThreads) {
  const Image image = test_picture(301, 803);
  std::vector<Samples> results;
  for (const int threads : {1, 2, 5}) {
    const ThreadCount scope(threads);
    results.push_back(resize_lanczos(image, 640, 1200).pixels);
  }
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2], results[0]);
}

TEST(Resize, KeepsOneColour) {
  // Wide enough that the weights come in blocks.
  const Image image = resize_lanczos(Image{200'000, 1, Samples(600'000, 77)}, 170'000, 2);
  EXPECT_EQ(image.width, 170'000);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.pixels, Samples(1'020'000, 77));
}

TEST(Resize, CopiesWhenTheSizeStays) {
  const Image image = test_picture(13, 7);
  EXPECT_EQ(resize_lanczos(image, 13, 7).pixels, image.pixels);
}

TEST(Resize, RefusesSizesWithoutPixels) {
  const Image image = test_picture(13, 7);
  EXPECT_EQ(error_of([&] { return resize_lanczos(image, 0, 5); }),
            "resize: to 0 x 5 pixels, expected at least 1 x 1");
  EXPECT_EQ(error_of([&] { return resize_lanczos(image, 5, -1); }),
            "resize: to 5 x -1 pixels, expected at least 1 x 1");
  EXPECT_EQ(error_of([&] { return resize_lanczos(image, 1 << 20, 1 << 20); }),
            "resize: to 1048576 x 1048576 pixels, at most 268435456 are made");
}

TEST(Resize, RefusesPicturesThatAreNotWhatTheySay) {
  EXPECT_EQ(error_of([] { return resize_lanczos(Image(), 5, 5); }),
            "resize: a picture of 0 x 0 pixels");
  EXPECT_EQ(error_of([] {
              return resize_lanczos(Image{2, 3, {1, 2}}, 5, 5);
            }),
            "resize: a picture of 2 x 3 pixels has 2 bytes, expected 18");
}

}  // namespace
}  // namespace zimage
