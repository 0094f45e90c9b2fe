// Whole pictures against diffusers 0.38.0; tools/reference/make_pipeline.py made the references.
#include "zimage/pipeline.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "core/allocator.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "picture_testing.h"
#include "zimage/log.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Case {
  std::string name;
  GenerateOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Json& json : Json::parse_file(test_data("pipeline/cases.json")).objects("cases")) {
    all.push_back({json.get<std::string>("name"), options_of(json)});
  }
  return all;
}

GenerateOptions case_named(const std::string& name) {
  for (const Case& c : cases()) {
    if (c.name == name) return c.options;
  }
  throw Error("no case " + name);
}

Image reference(const std::string& name, int index, const std::string& suffix = "") {
  return read_image(test_data("pipeline/" + str(name, "-", index, suffix, ".png"))).image;
}

TEST(Pipeline, DrawsThePicturesOfDiffusersInF32) {
  Pipeline pipeline(test_snapshot(), {.dtype = ComputeDtype::kF32});
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<Image> images = pipeline.generate(c.options);
    ASSERT_EQ(static_cast<int>(images.size()), c.options.num_images);
    for (int i = 0; i < c.options.num_images; ++i) {
      const Difference d = difference(images[i], reference(c.name, i));
      EXPECT_GE(d.psnr, 50);
      EXPECT_GE(d.share_within, 0.99);
    }
  }
}

// Both round weights, matmul inputs and their outputs to 8 bits of mantissa. diffusers rounds the
// residual stream, norms and modulation as well, which we keep in f32, so our distance from the f32
// picture must not exceed its distance by more than the scatter of two independent errors of one
// size (3 dB: twice the energy).
TEST(Pipeline, Bf16IsNoFurtherFromF32ThanDiffusersBf16) {
  Pipeline pipeline(test_snapshot(), {.dtype = ComputeDtype::kBf16});
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<Image> images = pipeline.generate(c.options);
    for (int i = 0; i < c.options.num_images; ++i) {
      const Image f32 = reference(c.name, i);
      const double theirs = difference(reference(c.name, i, "-bf16"), f32).psnr;
      const double ours = difference(images[i], f32).psnr;
      EXPECT_GE(ours, theirs - 3) << "diffusers: " << theirs << " dB";
    }
  }
}

TEST(Pipeline, DrawsTheSameBitsForAnyNumberOfThreads) {
  for (const ComputeDtype dtype : {ComputeDtype::kF32, ComputeDtype::kBf16}) {
    std::vector<Image> pictures;
    for (const int threads : {1, 2, 3}) {
      Pipeline pipeline(test_snapshot(), {.dtype = dtype, .threads = threads});
      pictures.push_back(pipeline.generate(case_named("cfg")).front());
    }
    set_num_threads(hardware_threads());
    EXPECT_EQ(pictures[0].pixels, pictures[1].pixels);
    EXPECT_EQ(pictures[0].pixels, pictures[2].pixels);
  }
}

TEST(Pipeline, DrawsImageIOfARunAsItsOwnSeed) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("pair");
  const std::vector<Image> pair = pipeline.generate(options);
  options.seed += 1;
  options.num_images = 1;
  EXPECT_EQ(pipeline.generate(options).front().pixels, pair[1].pixels);
  EXPECT_NE(pair[0].pixels, pair[1].pixels);
}

TEST(Pipeline, GivesBackItsMemory) {
  Pipeline pipeline(test_snapshot());
  (void)pipeline.generate(case_named("turbo"));
  EXPECT_LT(allocator::used_bytes(), std::size_t{1} << 20);  // the kept prompt embeddings
  EXPECT_EQ(allocator::cached_bytes(), 0u);
}

TEST(Pipeline, ReportsStagesAndSteps) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("pair");
  std::vector<std::string> events;
  options.on_progress = [&](const Progress& p) {
    events.push_back(str(static_cast<int>(p.stage), ":", p.image, ":", p.step, "/", p.steps));
  };
  (void)pipeline.generate(options);
  EXPECT_EQ(events, (std::vector<std::string>{"0:0:0/0", "1:0:0/2", "1:0:1/2", "1:0:2/2", "2:0:0/0",
                                              "1:1:0/2", "1:1:1/2", "1:1:2/2", "2:1:0/0"}));
}

TEST(Pipeline, StopsBetweenBlocksWhenCancelled) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("turbo");
  int asked = 0;
  options.is_cancelled = [&] { return ++asked > 5; };
  EXPECT_THROW((void)pipeline.generate(options), Cancelled);
  EXPECT_EQ(asked, 6);
}

TEST(Pipeline, SaysWhichWordsALongPromptLost) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("empty");
  options.max_sequence_length = 40;
  for (int i = 0; i < 100; ++i) options.prompt += "cat ";
  options.prompt += "in a hat";
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view message) { warnings.emplace_back(message); });
  (void)pipeline.generate(options);
  set_log_sink({});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("40 are read (--max-sequence-length); lost: \""));
}

TEST(Pipeline, RefusesPromptsThatAreNoUtf8) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = case_named("empty");
  options.prompt = "caf\xe9";
  EXPECT_THAT(error_of([&] { return pipeline.generate(options); }), HasSubstr("UTF-8"));
}

TEST(Pipeline, StartsFromThePresetOfTheFamily) {
  const GenerateOptions defaults = Pipeline(test_snapshot()).defaults();
  EXPECT_EQ(defaults.steps, 9);
  EXPECT_EQ(defaults.guidance_scale, 0);
  EXPECT_EQ(defaults.width, 1024);
}

// A private copy of the snapshot, to be damaged.
class DamagedSnapshot : public testing::Test {
 protected:
  DamagedSnapshot() { fs::copy(test_snapshot(), root_, fs::copy_options::recursive); }

  std::string error() const {
    return error_of([&] {
      Pipeline pipeline(root_);
      return pipeline.generate(case_named("empty"));
    });
  }
  // Rewrites a component's weights.
  void change(const std::string& file,
              const std::function<void(std::map<std::string, Tensor>&)>& edit) {
    std::map<std::string, Tensor> tensors;
    const SafetensorsFile before = SafetensorsFile::open(root_ / file);
    for (const auto& [name, tensor] : before.tensors()) {
      tensors.emplace(name, tensor.clone());
    }
    edit(tensors);
    save_safetensors(root_ / file, tensors);
  }
  void replace_text(const std::string& file, const std::string& from, const std::string& to) {
    std::ifstream in(root_ / file);
    std::string text(std::istreambuf_iterator<char>(in), {});
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    std::ofstream(root_ / file) << text.replace(at, from.size(), to);
  }

  const std::string kVae = "vae/diffusion_pytorch_model.safetensors";
  const std::string kShard = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors";
  TempDir dir_;
  fs::path root_ = dir_ / "model";
};

TEST_F(DamagedSnapshot, NamesTheMissingTensor) {
  change("text_encoder/model.safetensors", [](auto& tensors) {
    std::erase_if(tensors,
                  [](const auto& e) { return e.first.ends_with("layers.1.mlp.up_proj.weight"); });
  });
  EXPECT_THAT(error(), HasSubstr("layers.1.mlp.up_proj.weight"));
}

TEST_F(DamagedSnapshot, FindsAFaultInTheVaeBeforeAnyWork) {
  change(kVae, [](auto& tensors) { tensors.erase("decoder.conv_in.weight"); });
  Pipeline pipeline(root_);
  GenerateOptions options = case_named("empty");
  int events = 0;
  options.on_progress = [&](const Progress&) { ++events; };
  EXPECT_THAT(error_of([&] { return pipeline.generate(options); }),
              HasSubstr("decoder.conv_in.weight"));
  EXPECT_EQ(events, 0);
}

TEST_F(DamagedSnapshot, NamesTheTensorOfAnotherShape) {
  change(kShard, [](auto& tensors) {
    auto& tensor = tensors.at("context_refiner.0.attention.to_q.weight");
    tensor = zeros({tensor.dim(0), tensor.dim(1) - 1}, Dtype::kBf16);
  });
  EXPECT_THAT(error(),
              HasSubstr("diffusion_pytorch_model-00001-of-00002.safetensors: "
                        "context_refiner.0.attention.to_q.weight is [64, 63], expected [64, 64]"));
}

TEST_F(DamagedSnapshot, NamesTheTensorOfTwoShards) {
  const auto other = SafetensorsFile::open(
                         root_ / "transformer/diffusion_pytorch_model-00002-of-00002.safetensors")
                         .tensors();
  change(kShard,
         [&](auto& tensors) { tensors.emplace(other.begin()->first, other.begin()->second); });
  EXPECT_THAT(error(), HasSubstr(other.begin()->first + " is in "));
}

TEST_F(DamagedSnapshot, NamesTheSurplusTensor) {
  change(kShard, [](auto& tensors) { tensors.emplace("layers.99.extra", zeros({2})); });
  EXPECT_THAT(error(), HasSubstr("layers.99.extra"));
}

TEST_F(DamagedSnapshot, NamesTheStageOfANonFiniteWeight) {
  change(kShard, [](auto& tensors) {
    tensors.at("cap_embedder.1.bias").template data<bf16>()[0] = bf16(NAN);
  });
  EXPECT_THAT(error(), HasSubstr("step 1 of 1"));
}

TEST_F(DamagedSnapshot, NamesTheBrokenConfiguration) {
  replace_text("transformer/config.json", "\"n_heads\": 2", "\"n_heads\": 3");
  EXPECT_THAT(error(), HasSubstr("transformer/config.json"));
}

TEST_F(DamagedSnapshot, RefusesComponentsThatDoNotFitEachOther) {
  replace_text("transformer/config.json", "\"cap_feat_dim\": 48", "\"cap_feat_dim\": 49");
  EXPECT_THAT(
      error(),
      HasSubstr("text_encoder hidden_size is 48, but the transformer's cap_feat_dim is 49"));
}

TEST_F(DamagedSnapshot, SaysWhenAFileWasCut) {
  fs::resize_file(root_ / kVae, fs::file_size(root_ / kVae) - 1);
  EXPECT_THAT(error(), HasSubstr(kVae));
}

}  // namespace
}  // namespace zimage
