// Adapters in whole pictures, and what the program says about them.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli_testing.h"
#include "io/safetensors.h"
#include "isa_testing.h"
#include "picture_testing.h"
#include "pipeline/denoising_stage.h"
#include "pipeline/stages.h"

namespace zimage {
namespace {

using testing::HasSubstr;

// LoRA of rank 2 for some layers of the test snapshot, whose dim is 64.
void write_adapter(const std::filesystem::path& path, std::uint64_t seed, int dim = 64) {
  std::map<std::string, Tensor> tensors;
  for (const char* module : {"layers.0.attention.to_q", "layers.2.attention.to_out.0"}) {
    const std::string name = str("diffusion_model.", module);
    tensors[name + ".lora_A.weight"] = random_normal({2, dim}, Dtype::kF32, seed, 0.3f);
    tensors[name + ".lora_B.weight"] = random_normal({dim, 2}, Dtype::kF32, seed + 1, 0.3f);
  }
  save_safetensors(path, tensors);
}

// Of rank 3, with magnitudes of rows and of columns.
void write_dora(const std::filesystem::path& path) {
  std::map<std::string, Tensor> tensors;
  for (const char* module : {"layers.1.attention.to_k", "layers.0.attention.to_q"}) {
    const std::string name = str("transformer.", module);
    const Shape shape = tensors.empty() ? Shape{64, 1} : Shape{1, 64};
    tensors[name + ".lora_A.weight"] = random_normal({3, 64}, Dtype::kF32, 11, 0.3f);
    tensors[name + ".lora_B.weight"] = random_normal({64, 3}, Dtype::kF32, 12, 0.3f);
    tensors[name + ".dora_scale"] = random_normal(shape, Dtype::kF32, 13, 1);
  }
  save_safetensors(path, tensors);
}

class Lora : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    write_adapter(dir_ / "a.safetensors", 1);
    write_adapter(dir_ / "b.safetensors", 3);
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }

  GenerateOptions small() const {
    GenerateOptions o;
    o.prompt = "a cat";
    o.width = o.height = 64;
    o.steps = 3;
    return o;
  }
  // A picture, with what is needed beside.
  Result draw_with(std::vector<std::string> more) {
    more.insert(more.begin(), {"-p", "a cat"});
    return draw(std::move(more));
  }
  std::vector<std::uint8_t> pixels_with(const PipelineOptions& options) const {
    return Pipeline(test_snapshot(), options).generate(small()).front().pixels;
  }
};

TEST_F(Lora, LeavesNothingBehindWhenAdaptersChange) {
  PipelineOptions a{.dtype = ComputeDtype::kBf16}, b = a, none = a;
  a.adapters = {{.source = path("a.safetensors"), .scale = 1.5f}};
  b.adapters = {{.source = path("b.safetensors")},
                {.source = path("a.safetensors"), .scale = -1.f}};
  const auto plain = pixels_with(none), with_a = pixels_with(a), with_b = pixels_with(b);
  EXPECT_NE(plain, with_a);
  EXPECT_NE(with_a, with_b);
  Pipeline pipeline(test_snapshot(), a);
  EXPECT_EQ(pipeline.generate(small()).front().pixels, with_a);
  pipeline.use_adapters(b);
  EXPECT_EQ(pipeline.generate(small()).front().pixels, with_b);
  ASSERT_EQ(pipeline.adapters().size(), 2u);
  pipeline.use_adapters(none);
  EXPECT_EQ(pipeline.generate(small()).front().pixels, plain);
}

TEST_F(Lora, DrawsTheSameWithAnyNumberOfThreadsAndLeavesThePictureAtScaleZero) {
  PipelineOptions o{.dtype = ComputeDtype::kBf16, .threads = 1};
  o.adapters = {{.source = path("a.safetensors")}};
  const auto one = pixels_with(o);
  o.threads = 3;
  EXPECT_EQ(pixels_with(o), one);
  o.adapters[0].scale = 0;
  const auto zero = pixels_with(o);
  o.adapters.clear();
  EXPECT_EQ(pixels_with(o), zero);
}

// What --max-memory comes to for the transformer: layers, with their adapters, that do not stay.
// The VAE of so small a model needs more memory than its transformer, so that no limit says it.
TEST_F(Lora, DrawsTheSameWhereLayersAreReadAgain) {
  write_dora(dir_ / "dora.safetensors");
  for (const bool is_merged : {false, true}) {
    for (const ComputeDtype dtype : {ComputeDtype::kBf16, ComputeDtype::kF32}) {
      PipelineOptions o{.dtype = dtype, .merge_adapters = is_merged};
      o.adapters = {{.source = path("a.safetensors")}, {.source = path("dora.safetensors")}};
      const LoadedModel model(resolve_model(test_snapshot(), o.model), {}, choose_adapters(o), o);
      const GenerateOptions options = small();
      const MemoryPlan plan = model.plan_memory(options);
      PromptEncoder prompts;
      Inputs inputs;
      inputs.embeds = prompts.encode(model, options, plan);
      const auto latents_with = [&](std::uint64_t layer_bytes) {
        MemoryPlan limited = plan;
        for (StageMemory& stage : limited.stages) stage.layer_bytes = layer_bytes;
        return DenoisingStage(model, options, limited, inputs).draw(0).latents;
      };
      const Tensor all = latents_with(plan.of("transformer").layer_bytes);
      EXPECT_TRUE(same_bits(latents_with(0), all));
      EXPECT_TRUE(same_bits(latents_with(plan.of("transformer").weight_bytes / 2), all));
    }
  }
}

TEST_F(Lora, IsReportedAndKeptInThePicture) {
  const Result result = draw_with({"--lora", path("a.safetensors") + "@0.5", "-o", "x.png"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err,
              HasSubstr("a.safetensors at 0.5: applied 2 of 2 modules (LoRA of rank 2)"));
  const auto metadata = read_image(work_ / "x.png").metadata;
  EXPECT_THAT(metadata.parameters, HasSubstr("Adapters: \"a.safetensors: 0.5\""));
  const auto record = nlohmann::json::parse(metadata.zimage_json);
  EXPECT_EQ(record.at("adapters")[0].at("name"), "a.safetensors");
}

TEST_F(Lora, OfAKnownNameFillsWhatIsNotGiven) {
  const std::string known = "Z-Image-Fun-Lora-Distill-8-Steps-2603.safetensors";
  write_adapter(dir_ / known, 1);
  const Result filled = draw_with({"-l", path(known), "--json", "-o", "x.png"});
  ASSERT_EQ(filled.code, 0) << filled.err;
  const auto record = nlohmann::json::parse(filled.out);
  EXPECT_EQ(record.at("steps"), 8);
  EXPECT_EQ(record.at("schedule"), "literal");
  EXPECT_EQ(record.at("guidance"), 0);
  EXPECT_FLOAT_EQ(record.at("adapters")[0].at("scale").get<float>(), 0.8f);
  EXPECT_THAT(filled.err, HasSubstr("steps 8, schedule literal, guidance 0, scale 0.8"));
  const Result none = draw_with({"-l", path(known) + "@0", "-s", "3", "--json", "-o", "x.png"});
  EXPECT_EQ(none.err.find("its authors"), none.err.npos) << none.err;
  EXPECT_NE(nlohmann::json::parse(none.out).at("schedule"), "literal");
  const Result own = draw_with({"-l", path(known), "--lora-scale", "1", "-s", "3", "-o", "x.png"});
  EXPECT_THAT(own.err, HasSubstr("its authors advise other settings than steps 3, scale 1"));
}

TEST_F(Lora, IsChosenInAFolder) {
  std::filesystem::create_directory(dir_ / "set");
  write_adapter(dir_ / "set" / "one.safetensors", 1);
  write_adapter(dir_ / "set" / "two.safetensors", 2);
  expect_error(draw({"-p", "x", "--lora", path("set")}), 1,
               "holds several files, one.safetensors, two.safetensors; --lora-file names");
  EXPECT_EQ(draw_with({"--lora", path("set") + ":two.safetensors@-1", "-o", "x.png"}).code, 0);
  EXPECT_EQ(draw_with({"--lora", path("set"), "--lora-file", "one.safetensors", "--lora-scale",
                       "-0.5", "-o", "x.png"})
                .code,
            0);
}

TEST_F(Lora, LeavesSignsInTheNamesOfFoldersAlone) {
  std::filesystem::create_directory(dir_ / "mine@home");
  write_adapter(dir_ / "mine@home" / "one.safetensors", 1);
  expect_error(draw({"-p", "x", "--lora", path("mine@home/two.safetensors")}), 1,
               "two.safetensors: no such file or folder");
  EXPECT_EQ(draw_with({"--lora", path("mine@home/one.safetensors@0.5"), "-o", "x.png"}).code, 0);
}

TEST_F(Lora, IsRefusedInOneLine) {
  const std::string a = path("a.safetensors");
  const auto refused = [&](std::vector<std::string> args, int code, const std::string& message) {
    args.insert(args.begin(), {"-p", "x", "-s", "3", "--no-progress"});
    expect_error(draw(args), code, message);
  };
  refused({"--lora", a + "@nan"}, 2, "the scale behind @ is nan, expected a finite number");
  refused({"--lora", a + "@"}, 2, "expected a finite number");
  refused({"--lora", a, "--lora", a}, 2, "the same file as");
  refused({"--lora", a, "--lora-scale", "inf"}, 2, "expected a finite number");
  refused({"--lora", a + "@1", "--lora-scale", "2"}, 2, "has a scale already");
  refused({"--lora-file", "x"}, 2, "--lora-file: expected --lora ADAPTER with it");
  refused({"--lora", "./none.safetensors"}, 1, "no such file or folder");
  refused({"--lora", "nonsense"}, 1, "no such file or folder, and no hub id");
  refused({"--lora", "model/vae/diffusion_pytorch_model.safetensors"}, 1,
          "no adapter: none of its");
  write_adapter(dir_ / "wide.safetensors", 1, 96);
  refused({"--lora", path("wide.safetensors")}, 1, "the adapter is for another model");
}

TEST_F(Lora, IsInspected) {
  const Result result = run({"inspect", path("a.safetensors"), "--json"});
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("kind"), "adapter");
  EXPECT_EQ(record.at("adapter").at("modules"), 2);
  EXPECT_EQ(record.at("adapter").at("kinds").at("LoRA"), 2);
  EXPECT_EQ(record.at("adapter").at("largest_rank"), 2);
}

TEST_F(Lora, IsNoFileWithOneSuchNameAlone) {
  const Tensor x = random_normal({2, 2}, Dtype::kF32, 1, 1);
  save_safetensors(dir_ / "act.safetensors",
                   {{"act.alpha", x}, {"layers.0.alpha", x}, {"loss.diff", x}});
  const Result result = run({"inspect", path("act.safetensors"), "--json"});
  EXPECT_NE(nlohmann::json::parse(result.out).at("kind"), "adapter");
}

}  // namespace
}  // namespace zimage
