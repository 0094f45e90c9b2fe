// The program with pictures as input: image to image, inpainting, outpainting, control, preprocess.
#include <nlohmann/json.hpp>

#include "cli_testing.h"
#include "picture_testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string input(const std::string& name) {
  return test_data("image_to_image/" + name + ".png").string();
}

std::string network(const std::string& name) {
  return test_data("control/" + name + ".safetensors").string();
}

class CliPicturesTest : public CliTest {
 protected:
  // In f32 and without sizes: they come from the pictures.
  Result f32(const std::string& command, std::vector<std::string> more) {
    std::vector<std::string> args{command, "-m", "model", "--dtype", "f32", "-o", "out.png"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  double psnr_to(const std::string& reference) const {
    return difference(read_image(work_ / "out.png").image,
                      read_image(test_data(reference + "-drawn.png")).image)
        .psnr;
  }
};

TEST_F(CliPicturesTest, DrawsFromAPictureAsDiffusersDoes) {
  const Result result = f32("generate", {"-i", input("odd"), "--strength", "0.45", "-p", "a cat",
                                         "-s", "7", "-g", "3", "--seed", "7"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_GE(psnr_to("image_to_image/resized"), 50);
  EXPECT_THAT(result.err, HasSubstr("odd.png: 100x70 pixels, resized to 96x64"));
  EXPECT_THAT(read_image(work_ / "out.png").metadata.parameters,
              HasSubstr("Denoising strength: 0.45"));
}

TEST_F(CliPicturesTest, InpaintsAsDiffusersDoes) {
  const Result result =
      f32("generate", {"-i", input("scene"), "--mask", input("disc"), "--no-composite", "-p",
                       "a dog", "-s", "6", "--seed", "8", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_GE(psnr_to("image_to_image/inpaint"), 50);
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("strength"), 1.0);
  EXPECT_EQ(record.at("mask"), "disc.png");
  const auto stored = read_image(work_ / "out.png").metadata.zimage_json;
  EXPECT_EQ(nlohmann::json::parse(stored).at("image"), "scene.png");
}

TEST_F(CliPicturesTest, ControlsAsDiffusersDoes) {
  const Result result = f32("control", {"-c", input("scene"), "--cw", network("union-2.1"), "-p",
                                        "a cat", "-s", "5", "--seed", "8", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_GE(psnr_to("control/two_one"), 50);
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("control_scale"), 0.75);
  EXPECT_EQ(record.at("controlnet"), network("union-2.1"));
}

TEST_F(CliPicturesTest, OutpaintsToALargerPicture) {
  const Result result =
      f32("generate", {"-i", input("scene"), "--outpaint", "0,16,32,0", "-p", "a dog", "-s", "3"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Image drawn = read_image(work_ / "out.png").image;
  EXPECT_EQ(drawn.width, 128);
  EXPECT_EQ(drawn.height, 80);
  const Image scene = read_image(input("scene")).image;  // its lower left corner is as it was
  EXPECT_TRUE(std::equal(&scene.pixels[3 * 63 * 96], &scene.pixels[3 * (63 * 96 + 50)],
                         &drawn.pixels[3 * 79 * 128]));
}

TEST_F(CliPicturesTest, FollowsThePicturesShapeWhereOneSideIsGiven) {
  const Result result = f32("generate", {"-i", input("scene"), "-W", "192", "-p", "x", "-s", "3"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(read_image(work_ / "out.png").image.height, 128);
  EXPECT_THAT(result.err, Not(HasSubstr("stretches")));
  const Result stretched =
      f32("generate", {"-i", input("scene"), "-W", "64", "-H", "128", "-p", "x", "-s", "3"});
  EXPECT_THAT(stretched.err, HasSubstr("resized to 64x128, which stretches it"));
}

TEST_F(CliPicturesTest, UsesTransparencyAsTheMaskWhenAsked) {
  const std::string alpha = test_data("image/rgba8.png").string();
  const Result result = f32(
      "generate", {"-i", alpha, "--mask", "alpha", "-W", "64", "-H", "64", "-p", "x", "-s", "3"});
  EXPECT_EQ(result.code, 0) << result.err;
  const Result dropped =
      f32("generate", {"-i", alpha, "-W", "64", "-H", "64", "-p", "x", "-s", "3"});
  EXPECT_THAT(dropped.err, HasSubstr("rgba8.png: its transparency is left out"));
  fs::remove(work_ / "out.png");
  expect_error(f32("generate", {"-i", input("scene"), "--mask", "alpha", "-p", "x"}), 2,
               "--mask alpha: " + input("scene") + " has no transparent pixels");
}

TEST_F(CliPicturesTest, MakesMaps) {
  for (const char* type : {"canny", "gray", "none"}) {
    const Result result =
        run({"preprocess", input("scene"), "--type", type, "-W", "80", "-o", "out.png"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "out.png\n");
    const Image map = read_image(work_ / "out.png").image;
    EXPECT_EQ(map.width, 80);
    EXPECT_EQ(map.height, 53);
  }
}

TEST_F(CliPicturesTest, MakesTheMapOfAPhotoForTheControlNetwork) {
  const std::vector<std::string> more{"--cw", network("union-1.0"), "-p", "x", "-s", "3", "--seed",
                                      "1"};
  auto with = [&](std::vector<std::string> args) {
    args.insert(args.end(), more.begin(), more.end());
    const Result result = f32("control", args);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_image(work_ / "out.png").image.pixels;
  };
  const auto from_photo = with({"-c", input("scene"), "--control-type", "canny"});
  ASSERT_EQ(run({"preprocess", input("scene"), "-o", "edges.png"}).code, 0);
  EXPECT_EQ(with({"-c", "edges.png"}), from_photo);
}

TEST_F(CliPicturesTest, RefusesInputsThatDoNotFit) {
  const auto generate = [&](std::vector<std::string> args) {
    args.insert(args.end(), {"-p", "x"});
    return f32("generate", args);
  };
  expect_error(generate({"-i", "none.png"}), 1, "none.png");
  expect_error(generate({"-i", "model/model_index.json"}), 1, "which is no PNG, JPEG or WebP");
  expect_error(generate({"--mask", input("disc")}), 2, "--mask: expected --image FILE with it");
  expect_error(generate({"--outpaint", "1,1,1,1"}), 2, "--outpaint: expected --image FILE");
  expect_error(generate({"--strength", "0.5"}), 2, "--strength: expected --image with it");
  expect_error(generate({"-i", input("scene"), "--strength", "2"}), 2,
               "--strength 2: expected 0 to 1");
  expect_error(generate({"-i", input("scene"), "--strength", "0.01"}), 2, "leaves none of 9 steps");
  expect_error(generate({"-i", input("scene"), "-W", "0"}), 2, "--width 0: expected");
  expect_error(generate({"-i", input("scene"), "-H", "-5"}), 2, "--height -5: expected");
  expect_error(generate({"-i", input("scene"), "-H", "2000000000"}), 2, "--height 2000000000");
  expect_error(generate({"-i", input("scene"), "--outpaint", "1,2,3"}), 2,
               "--outpaint 1,2,3: expected LEFT,TOP,RIGHT,BOTTOM");
  expect_error(generate({"-i", input("scene"), "--outpaint", "1,2,3,4x"}), 2, "--outpaint");
  expect_error(generate({"-i", input("scene"), "--outpaint", "0,0,0,-16"}), 2, "0 and more");
}

TEST_F(CliPicturesTest, RefusesControlsThatDoNotFit) {
  const auto control = [&](std::vector<std::string> args) {
    args.insert(args.end(), {"-p", "x"});
    return f32("control", args);
  };
  expect_error(control({"--cw", network("union-2.1")}), 2, "no picture: expected --control-image");
  expect_error(control({"-c", input("scene")}), 2, "no control network: expected");
  expect_error(control({"-c", "none.png", "--cw", network("union-2.1")}), 1, "none.png");
  expect_error(control({"-c", input("scene"), "--cw", "nowhere.safetensors"}), 1,
               "--controlnet-weights nowhere.safetensors: no such file");
  expect_error(control({"-c", input("scene"), "--cw", " "}), 2, "--controlnet-weights: no text");
  expect_error(control({"-c", input("scene"), "--cw", "model/vae/config.json"}), 1, "config.json");
  expect_error(control({"-c", input("scene"), "--cw", network("union-2.1"), "--canny-low", "5"}), 2,
               "--canny-low: expected a control type of canny");
  expect_error(control({"-c", input("scene"), "--cw", network("union-2.1"), "--strength", "1"}), 2,
               "--strength");
  expect_error(control({"-c", input("scene"), "--cw", "model/vae"}), 1, "model/vae");
  expect_error(
      control({"-c", input("scene"), "--cw", network("union-1.0"), "--mask", input("disc")}), 2,
      "--mask: this control network (1.0)");
  expect_error(control({"-c", input("scene"), "--cw", network("union-2.1"), "--cs", "-1"}), 2,
               "--control-scale -1");
  expect_error(control({"-c", input("scene"), "--cw", network("union-2.1"), "--control-type",
                        "canny", "--canny-low", "300"}),
               2, "expected 0 <= low <= high");
}

}  // namespace
}  // namespace zimage
