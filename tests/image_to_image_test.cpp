// Image to image, inpainting and outpainting; tools/reference/make_image_to_image.py made the
// references with diffusers 0.38.0.
#include <gmock/gmock.h>

#include "io/json.h"
#include "picture_testing.h"
#include "pipeline/pixels.h"
#include "pipeline/start.h"
#include "zimage/options.h"
#include "zimage/outpaint.h"
#include "zimage/pipeline.h"

namespace zimage {
namespace {

using testing::HasSubstr;

struct Case {
  std::string name;
  GenerateOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const Json file = Json::parse_file(test_data("image_to_image/cases.json"));
  for (const Json& json : file.objects("cases")) {
    GenerateOptions o = options_of(json);
    o.image = test_input(json.get<std::string>("image"));
    o.strength = json.get<double>("strength");
    if (json.has("mask")) o.mask = test_input(json.get<std::string>("mask"));
    o.no_composite = o.mask.has_value();  // diffusers does not put kept pixels back
    all.push_back({json.get<std::string>("name"), o});
  }
  return all;
}

GenerateOptions case_named(const std::string& name) {
  for (const Case& c : cases()) {
    if (c.name == name) return c.options;
  }
  throw Error("no case " + name);
}

TEST(ImageToImage, DrawsThePicturesOfDiffusersInF32) {
  Pipeline pipeline(test_snapshot(), {.dtype = ComputeDtype::kF32});
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Difference d =
        difference(pipeline.generate(c.options).front(), test_input(c.name + "-drawn"));
    EXPECT_GE(d.psnr, 50);
    EXPECT_GE(d.share_within, 0.99);
  }
}

TEST(ImageToImage, KeepsThePixelsThatTheMaskKeeps) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("inpaint");
  options.no_composite = false;
  const Image drawn = pipeline.generate(options).front();
  const Image original = test_input("scene");
  const Mask mask = to_mask(*options.mask, 96, 64);
  int kept = 0, repainted = 0;
  for (std::size_t i = 0; i < mask.pixels.size(); ++i) {
    const bool is_equal =
        std::equal(&original.pixels[3 * i], &original.pixels[3 * i + 3], &drawn.pixels[3 * i]);
    if (mask.pixels[i] == 0) {
      ++kept;
      ASSERT_TRUE(is_equal) << "pixel " << i;
    } else if (!is_equal) {
      ++repainted;
    }
  }
  EXPECT_GT(kept, 1000);
  EXPECT_GT(repainted, 1000);
}

TEST(ImageToImage, StrengthLeavesTheLastPartOfTheSchedule) {
  const std::vector<float> sigmas{1, 0.8f, 0.6f, 0.4f, 0.2f, 0};
  EXPECT_EQ(sigmas_of_strength(sigmas, 1.0).size(), 6u);
  EXPECT_EQ(sigmas_of_strength(sigmas, 0.6), (std::vector<float>{0.6f, 0.4f, 0.2f, 0}));
  EXPECT_EQ(sigmas_of_strength(sigmas, 0.5).size(), 4u);  // 2.5 steps: begins at the second
  EXPECT_EQ(sigmas_of_strength(sigmas, 0.0), (std::vector<float>{0}));
}

TEST(ImageToImage, ReportsEncodingAndOnlyTheStepsThatAreLeft) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("turbo");
  std::vector<Stage> stages;
  int steps = 0;
  options.on_progress = [&](const Progress& p) {
    if (stages.empty() || stages.back() != p.stage) stages.push_back(p.stage);
    if (p.stage == Stage::kDenoising) steps = p.steps;
  };
  (void)pipeline.generate(options);
  EXPECT_EQ(stages, (std::vector<Stage>{Stage::kEncodingPrompt, Stage::kEncodingImage,
                                        Stage::kDenoising, Stage::kDecoding}));
  EXPECT_EQ(steps, 5);  // 9 * 0.6 = 5.4 points from the fourth on, the last moves nothing
}

TEST(ImageToImage, DefaultStrengthIsThatOfDiffusers) {
  GenerateOptions options;
  EXPECT_EQ(strength_of(options), 0.6);
  options.mask = test_input("disc");
  EXPECT_EQ(strength_of(options), 1.0);
  options.strength = 0.3;
  EXPECT_EQ(strength_of(options), 0.3);
}

TEST(ImageToImage, RefusesOptionsThatDoNotFit) {
  Pipeline pipeline(test_snapshot());
  const auto error_with = [&](const std::function<void(GenerateOptions&)>& change) {
    GenerateOptions options = case_named("inpaint");
    change(options);
    return error_of([&] { return pipeline.generate(options); });
  };
  EXPECT_THAT(error_with([](auto& o) { o.image.reset(); }), HasSubstr("--mask: expected --image"));
  EXPECT_THAT(error_with([](auto& o) { o.image.reset(), o.mask.reset(), o.no_composite = false; }),
              HasSubstr("--strength: expected --image"));
  EXPECT_THAT(error_with([](auto& o) { o.mask.reset(); }),
              HasSubstr("--no-composite: expected a picture and --mask"));
  EXPECT_THAT(error_with([](auto& o) { o.strength = 1.5; }),
              HasSubstr("--strength 1.5: expected 0 to 1"));
  EXPECT_THAT(error_with([](auto& o) { o.strength = std::nan(""); }), HasSubstr("--strength nan"));
  EXPECT_THAT(error_with([](auto& o) { o.strength = 0.1; }),
              HasSubstr("--strength 0.1: leaves none of 6 steps"));
  EXPECT_THAT(error_with([](auto& o) { o.image->pixels.pop_back(); }),
              HasSubstr("--image: a picture of 96 x 64 pixels with 18431 bytes"));
  EXPECT_THAT(error_with([](auto& o) { o.mask = Image{}; }),
              HasSubstr("--mask: a picture of 0 x 0"));
}

// The canvas: margins as asked for, the picture in its place, edges carried on.
TEST(Outpaint, PutsThePictureOnALargerCanvas) {
  const Image scene = test_input("scene");
  const OutpaintInput canvas = outpaint(scene, {.left = 32, .bottom = 16});
  ASSERT_EQ(canvas.image.width, 128);
  ASSERT_EQ(canvas.image.height, 80);
  const auto pixel = [&](const Image& image, int x, int y) {
    const std::uint8_t* at = &image.pixels[3 * static_cast<std::size_t>(y * image.width + x)];
    return std::vector<int>{at[0], at[1], at[2]};
  };
  EXPECT_EQ(pixel(canvas.image, 32 + 50, 20), pixel(scene, 50, 20));
  EXPECT_EQ(pixel(canvas.image, 0, 10), pixel(scene, 0, 10));
  EXPECT_EQ(pixel(canvas.image, 3, 79), pixel(scene, 0, 63));
  EXPECT_EQ(pixel(canvas.mask, 31, 10)[0], 255);
  EXPECT_EQ(pixel(canvas.mask, 32, 10)[0], 240);  // fades over 16 pixels
  EXPECT_EQ(pixel(canvas.mask, 32 + 16, 10)[0], 0);
  EXPECT_EQ(pixel(canvas.mask, 127, 0)[0], 0);  // no margin there
  EXPECT_EQ(pixel(canvas.mask, 100, 70)[0], 255);
}

TEST(Outpaint, GrowsMarginsToAMultipleOf16) {
  const Image odd = test_input("odd");  // 100 x 70
  const OutpaintInput canvas = outpaint(odd, {.left = 10, .top = 3});
  EXPECT_EQ(canvas.image.width, 112);
  EXPECT_EQ(canvas.image.height, 80);
  EXPECT_EQ(outpaint(odd, {.right = 1}).image.width, 112);
  EXPECT_EQ(outpaint(odd, {.right = 1}).image.height, 70);  // as it was: resized later
}

TEST(Outpaint, KeepsAMaskOfThePicture) {
  const Image scene = test_input("scene"), disc = test_input("disc");
  const OutpaintInput canvas = outpaint(scene, {.right = 32}, disc);
  const std::size_t inside = 3 * (34 * 128 + 50), outside = 3 * (34 * 128 + 5);
  EXPECT_EQ(canvas.mask.pixels[inside], 255);
  EXPECT_EQ(canvas.mask.pixels[outside], 0);
}

TEST(Outpaint, RefusesMarginsThatDoNotWork) {
  const Image scene = test_input("scene");
  EXPECT_THAT(error_of([&] { return outpaint(scene, {}); }), HasSubstr("--outpaint 0,0,0,0"));
  EXPECT_THAT(error_of([&] { return outpaint(scene, {.left = -1, .right = 5}); }),
              HasSubstr("--outpaint -1,0,5,0"));
  EXPECT_THAT(error_of([&] { return outpaint(scene, {.left = 1 << 30, .top = 1 << 30}); }),
              HasSubstr("at most"));
  EXPECT_THAT(error_of([&] { return outpaint(scene, {.left = 1}, test_input("ramp")); }),
              HasSubstr("--mask: 61 x 47 pixels, expected the picture's 96 x 64"));
}

}  // namespace
}  // namespace zimage
