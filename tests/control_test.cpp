// Control networks in whole pictures; tools/reference/make_control.py made the references with
// diffusers 0.38.0.
#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "io/json.h"
#include "io/safetensors.h"
#include "models/control_files.h"
#include "picture_testing.h"
#include "zimage/pipeline.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path network(const std::string& name) { return test_data("control/" + name + ".safetensors"); }

struct Case {
  std::string name, network;
  GenerateOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Json& json : Json::parse_file(test_data("control/cases.json")).objects("cases")) {
    GenerateOptions o = options_of(json);
    o.control.image = test_input(json.get<std::string>("control"));
    o.control.scale = json.get_or("scale", 0.75f);
    if (json.has("mask")) {
      o.control.inpaint_image = test_input(json.get<std::string>("inpaint"));
      o.control.mask = test_input(json.get<std::string>("mask"));
      o.no_composite = true;  // diffusers does not put kept pixels back
    }
    all.push_back({json.get<std::string>("name"), json.get<std::string>("network"), o});
  }
  return all;
}

Case case_named(const std::string& name) {
  for (Case& c : cases()) {
    if (c.name == name) return c;
  }
  throw Error("no case " + name);
}

Pipeline pipeline_with(const std::string& name, ComputeDtype dtype = ComputeDtype::kF32) {
  return Pipeline(test_snapshot(),
                  {.dtype = dtype, .model = {.controlnet = network(name).string()}});
}

TEST(ControlPipeline, DrawsThePicturesOfDiffusersInF32) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Difference d = difference(pipeline_with(c.network).generate(c.options).front(),
                                    test_input("../control/" + c.name + "-drawn"));
    EXPECT_GE(d.psnr, 50);
    EXPECT_GE(d.share_within, 0.99);
  }
}

TEST(ControlPipeline, ScaleZeroIsThePictureWithoutControl) {
  Case c = case_named("two_one");
  c.options.control.scale = 0;
  const Image uncontrolled = pipeline_with(c.network).generate(c.options).front();
  c.options.control = {};
  Pipeline plain(test_snapshot(), {.dtype = ComputeDtype::kF32});
  EXPECT_EQ(plain.generate(c.options).front().pixels, uncontrolled.pixels);
  EXPECT_LT(difference(uncontrolled, test_input("../control/two_one-drawn")).psnr, 30);
}

TEST(ControlPipeline, DrawsTheSameBitsForAnyNumberOfThreads) {
  const Case c = case_named("two_one_cfg");
  std::vector<Image> pictures;
  for (const int threads : {1, 2, 3}) {
    Pipeline pipeline(test_snapshot(),
                      {.threads = threads, .model = {.controlnet = network(c.network).string()}});
    pictures.push_back(pipeline.generate(c.options).front());
  }
  set_num_threads(hardware_threads());
  EXPECT_EQ(pictures[0].pixels, pictures[1].pixels);
  EXPECT_EQ(pictures[0].pixels, pictures[2].pixels);
}

TEST(ControlPipeline, PutsKeptPixelsBack) {
  Case c = case_named("two_inpaint");
  c.options.control.inpaint_image = test_input("scene");
  c.options.no_composite = false;
  const Image drawn = pipeline_with(c.network).generate(c.options).front();
  EXPECT_TRUE(std::equal(drawn.pixels.begin(), drawn.pixels.begin() + 3 * 96,
                         test_input("scene").pixels.begin()));
}

TEST(ControlPipeline, TakesAMaskOrAnInpaintPictureAlone) {
  Case c = case_named("two_one");
  Pipeline pipeline = pipeline_with(c.network);
  c.options.control.image.reset();
  c.options.control.mask = test_input("disc");
  const Image masked = pipeline.generate(c.options).front();
  c.options.control.mask.reset();
  c.options.control.inpaint_image = test_input("scene");
  EXPECT_NE(pipeline.generate(c.options).front().pixels, masked.pixels);
}

TEST(ControlPipeline, RefusesInputsThatDoNotFit) {
  const auto error_with = [&](const std::string& network,
                              const std::function<void(ControlInputs&)>& change) {
    Case c = case_named("one");
    change(c.options.control);
    Pipeline pipeline = network.empty() ? Pipeline(test_snapshot()) : pipeline_with(network);
    return error_of([&] { return pipeline.generate(c.options); });
  };
  EXPECT_THAT(error_with("", [](auto&) {}), HasSubstr("expected --controlnet-weights"));
  EXPECT_THAT(error_with("union-2.1", [](auto& c) { c = {}; }),
              HasSubstr("expected a control image, an inpaint image or a mask"));
  EXPECT_THAT(error_with("union-1.0", [](auto& c) { c.mask = test_input("disc"); }),
              HasSubstr("--mask: this control network (1.0) takes a control image only"));
  EXPECT_THAT(error_with("union-1.0", [](auto& c) { c.inpaint_image = test_input("scene"); }),
              HasSubstr("--inpaint-image: this control network"));
  EXPECT_THAT(error_with("union-2.1", [](auto& c) { c.scale = -1; }),
              HasSubstr("--control-scale -1: expected 0 to 100"));
  EXPECT_THAT(error_with("union-2.1", [](auto& c) { c.image = Image{}; }),
              HasSubstr("--control-image: a picture of 0 x 0"));
}

TEST(ControlPipeline, NoticesAnotherNetwork) {
  const Case one = case_named("one"), two = case_named("two_one");
  Pipeline pipeline = pipeline_with("union-2.1");
  const Image with_two = pipeline.generate(two.options).front();
  pipeline.use_model(test_snapshot(), {.dtype = ComputeDtype::kF32,
                                       .model = {.controlnet = network("union-2.0").string()}});
  EXPECT_NE(pipeline.generate(two.options).front().pixels, with_two.pixels);
}

TEST(ControlPipeline, FindsAFaultInTheNetworkBeforeAnyWork) {
  const TempDir dir;
  std::map<std::string, Tensor> tensors;
  const SafetensorsFile whole = SafetensorsFile::open(network("union-2.1"));
  for (const auto& [name, tensor] : whole.tensors()) tensors.emplace(name, tensor.clone());
  tensors.erase("control_layers.1.after_proj.bias");
  save_safetensors(dir / "damaged.safetensors", tensors);
  GenerateOptions options = case_named("two_one").options;
  int events = 0;
  options.on_progress = [&](const Progress&) { ++events; };
  EXPECT_THAT(error_of([&] {
                Pipeline pipeline(test_snapshot(),
                                  {.model = {.controlnet = dir / "damaged.safetensors"}});
                return pipeline.generate(options);
              }),
              HasSubstr("control_layers.1.after_proj.bias"));
  EXPECT_EQ(events, 0);
}

std::string error_of_files(const std::string& weights, const std::string& file = "") {
  return error_of([&] { return resolve_control({.controlnet = weights, .control_file = file}); });
}

TEST(ControlFiles, TakesTheOnlyFileOfAFolder) {
  const TempDir dir;
  fs::copy_file(network("union-1.0"), dir / "a.safetensors");
  EXPECT_EQ(resolve_control({.controlnet = dir.path().string()}).weights.front(),
            dir / "a.safetensors");
}

TEST(ControlFiles, NamesTheCandidatesWhereThereAreSeveral) {
  const TempDir dir;
  EXPECT_THAT(error_of_files(dir.path().string()), HasSubstr("holds no .safetensors file"));
  for (const char* name : {"a", "b"}) {
    fs::copy_file(network("union-1.0"), dir / (std::string(name) + ".safetensors"));
  }
  EXPECT_THAT(error_of_files(dir.path().string()),
              HasSubstr("holds several files, a.safetensors, b.safetensors; --control-file"));
  EXPECT_THAT(error_of_files(dir.path().string(), "c.safetensors"),
              HasSubstr("--control-file c.safetensors: " + dir.path().string()));
  EXPECT_THAT(error_of_files(dir.path().string(), "../a.safetensors"), HasSubstr("--control-file"));
  EXPECT_EQ(resolve_control({.controlnet = dir.path().string(), .control_file = "b.safetensors"})
                .weights.front(),
            dir / "b.safetensors");
}

TEST(ControlFiles, ReadsTheConfigurationOfDiffusers) {
  const TempDir dir;
  fs::copy_file(network("union-2.0"), dir / "diffusion_pytorch_model.safetensors");
  fs::copy_file(network("union-1.0"), dir / "other.safetensors");
  std::ofstream(dir / "config.json")
      << R"({"_class_name": "ZImageControlNetModel", "control_layers_places": [0, 1, 2],
            "control_refiner_layers_places": [0], "control_in_dim": 33,
            "add_control_noise_refiner": "control_layers", "dim": 64, "n_heads": 2,
            "n_kv_heads": 2, "n_refiner_layers": 1})";
  const Case c = case_named("two");
  Pipeline pipeline(test_snapshot(),
                    {.dtype = ComputeDtype::kF32, .model = {.controlnet = dir.path().string()}});
  EXPECT_GE(
      difference(pipeline.generate(c.options).front(), test_input("../control/two-drawn")).psnr,
      50);
}

TEST(ControlFiles, RefusesWhatIsNoControlNetwork) {
  EXPECT_THAT(error_of_files("/nowhere/x.safetensors"), HasSubstr("no such file"));
  EXPECT_THAT(error_of_files(network("union-1.0").string(), "x"), HasSubstr("is a file already"));
  EXPECT_THAT(error_of_files("demo"), HasSubstr("no such file or folder, and no hub id"));
  const auto vae = test_snapshot() / "vae/diffusion_pytorch_model.safetensors";
  EXPECT_THAT(
      error_of([&] {
        return Pipeline(test_snapshot(), {.model = {.controlnet = vae.string()}}).compute_dtype();
      }),
      HasSubstr("vae/diffusion_pytorch_model.safetensors: no tensor control_all_x_embedder"));
  EXPECT_THAT(error_of([&] {
                return Pipeline(test_snapshot(), {.model = {.control_file = "x"}}).compute_dtype();
              }),
              HasSubstr("--control-file x: expected --controlnet-weights"));
}

}  // namespace
}  // namespace zimage
