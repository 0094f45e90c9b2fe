// What the program says it will need, against what it took.
#include "pipeline/memory.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "core/allocator.h"
#include "isa_testing.h"
#include "picture_testing.h"
#include "pipeline/denoising_stage.h"
#include "pipeline/loaded_model.h"
#include "pipeline/stages.h"
#include "pipeline/system_memory.h"

namespace zimage {
namespace {

Image gray(int width, int height) {
  const auto bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
  return {width, height, std::vector<std::uint8_t>(bytes, 128)};
}

struct Setting {
  std::string name;
  bool has_image = false, has_control = false;
  ComputeDtype dtype = ComputeDtype::kBf16;
  int width = 512, height = 512;
  float guidance = 0;
};

const Setting kSettings[] = {{.name = "text"},
                             {.name = "text in f32", .dtype = ComputeDtype::kF32},
                             {.name = "wide", .width = 768, .height = 272},
                             {.name = "image", .has_image = true},
                             {.name = "control", .has_control = true},
                             {.name = "guided", .guidance = 3}};

LoadedModel load(const Setting& setting) {
  PipelineOptions how{.dtype = setting.dtype};
  std::optional<ControlFiles> control;
  if (setting.has_control) {
    how.model.controlnet = test_data("control/union-2.1.safetensors");
    control = resolve_control(how.model);
  }
  return {resolve_model(test_snapshot(), how.model), std::move(control), {}, how};
}

GenerateOptions options_of(const Setting& setting) {
  GenerateOptions options;
  options.prompt = "a cat";
  options.width = setting.width;
  options.height = setting.height;
  options.steps = 2;
  options.guidance_scale = setting.guidance;
  if (setting.has_image) options.image = gray(setting.width, setting.height);
  if (setting.has_control) options.control.image = gray(setting.width, setting.height);
  return options;
}

// What the stages of a picture take, by the names of their estimates.
struct Taken {
  std::uint64_t tensors, resident;
};
std::map<std::string, Taken> run_stages(const LoadedModel& model, const GenerateOptions& options,
                                        const MemoryPlan& plan) {
  std::map<std::string, Taken> taken;
  const auto measure = [&](const std::string& stage, const auto& work) {
    allocator::trim();
    allocator::reset_peak();
    std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM starts anew
    const std::size_t before = allocator::used_bytes();
    auto result = work();
    taken[stage] = {allocator::peak_bytes() - before, peak_resident_memory()};
    return result;
  };
  Inputs inputs;
  PromptEncoder prompts;
  inputs.embeds = measure("text encoder", [&] { return prompts.encode(model, options, plan); });
  if (options.image || options.control.any()) {
    measure("vae encoder", [&] {
      inputs.image = encode_image(model, options, plan);
      inputs.control = encode_control(model, options, plan);
      return 0;
    });
  }
  const Tensor latents = measure(
      "transformer", [&] { return DenoisingStage(model, options, plan, inputs).draw(0).latents; });
  measure("vae decoder", [&] { return decode(model, options, plan, 0, inputs, latents); });
  return taken;
}

// Sizes that no estimate goes into: blocks of a page, the runtime's own.
constexpr double kSlack = 1 << 20, kRuntimeSlack = 64 << 20;

TEST(Memory, EstimatesAreNearWhatEachStageTakes) {
  for (const Setting& setting : kSettings) {
    const LoadedModel model = load(setting);
    const GenerateOptions options = options_of(setting);
    (void)run_stages(model, options, model.plan_memory(options));  // all code has run once
    allocator::trim();
    const MemoryPlan plan = model.plan_memory(options);
    const auto taken = run_stages(model, options, plan);
    ASSERT_EQ(plan.stages.size(), taken.size());
    for (const StageMemory& stage : plan.stages) {
      SCOPED_TRACE(setting.name + ", " + stage.stage);
      const Taken& measured = taken.at(stage.stage);
      // The test model's weights are converted: they are in the allocator, too. Where products need
      // no strips in f32 less is taken.
      const auto tensors = static_cast<double>(measured.tensors);
      const auto expected = static_cast<double>(stage.tensor_bytes + stage.weight_bytes);
      EXPECT_LE(tensors, 1.1 * expected + kSlack);
      EXPECT_GE(tensors, 0.6 * expected - kSlack);
#ifndef __SANITIZE_ADDRESS__  // keeps memory of its own
      const auto resident = static_cast<double>(measured.resident);
      EXPECT_LE(resident, 1.1 * static_cast<double>(stage.bytes()));
      EXPECT_GE(resident, static_cast<double>(stage.bytes()) - kRuntimeSlack);
#endif
    }
  }
}

TEST(Memory, KeepsAsManyLayersAsTheLimitAllows) {
  const Setting setting{.name = "control", .has_control = true};
  const LoadedModel model = load(setting);
  const GenerateOptions options = options_of(setting);
  const StageMemory all = model.plan_memory(options).of("transformer");
  EXPECT_EQ(all.kept_layers, all.layers);
  EXPECT_EQ(all.read_bytes, 0u);

  LoadedModel limited = load(setting);
  int kept = all.layers;
  for (std::uint64_t less = 0; less < all.weight_bytes; less += all.weight_bytes / 16) {
    limited.max_memory = all.bytes() - less;
    MemoryPlan plan;
    if (!error_of([&] { return plan = limited.plan_memory(options), 0; }).empty()) break;
    const StageMemory& stage = plan.of("transformer");
    EXPECT_LE(stage.bytes(), limited.max_memory + kRuntimeSlack);
    EXPECT_LE(stage.kept_layers, kept);
    kept = stage.kept_layers;
  }
}

TEST(Memory, TilesOfTheVaeOnlyWhereThePictureDoesNotFit) {
  const Setting setting{.name = "large", .has_image = true, .width = 2048, .height = 2048};
  LoadedModel model = load(setting);
  const GenerateOptions options = options_of(setting);
  const MemoryPlan whole = model.plan_memory(options);
  const StageMemory decoder = whole.of("vae decoder"), encoder = whole.of("vae encoder");
  EXPECT_EQ(decoder.tile, 0);
  EXPECT_EQ(encoder.tile, 0);

  const std::uint64_t rest = decoder.bytes() - decoder.tensor_bytes;
  model.max_memory = rest + decoder.tensor_bytes * 3 / 4;
  const MemoryPlan tiled = model.plan_memory(options);
  EXPECT_GT(tiled.of("vae decoder").tile, 0);
  EXPECT_LE(tiled.of("vae decoder").bytes(), model.max_memory + kRuntimeSlack);
}

TEST(Memory, KeepsAConvertedTransformerForTheNextPictureWhereThereIsRoom) {
  LoadedModel model = load(kSettings[1]);  // bf16 files, f32 products
  GenerateOptions options = options_of(kSettings[1]);
  EXPECT_FALSE(model.plan_memory(options).keeps_transformer);
  options.num_images = 2;
  const MemoryPlan plan = model.plan_memory(options);
  EXPECT_TRUE(plan.keeps_transformer);
  const std::uint64_t both = plan.of("vae decoder").bytes();
  EXPECT_GT(both, plan.of("transformer").weight_bytes + plan.of("vae decoder").tensor_bytes);

  model.max_memory = both - 1;
  EXPECT_FALSE(model.plan_memory(options).keeps_transformer);

  const LoadedModel in_place = load(kSettings[0]);  // bf16 files and products
  EXPECT_FALSE(in_place.plan_memory(options).keeps_transformer);
}

TEST(Memory, DrawsTheSameWhetherTheTransformerStaysOrNot) {
  const LoadedModel model = load(kSettings[1]);
  GenerateOptions options = options_of(kSettings[1]);
  options.width = options.height = 64;
  options.num_images = 2;
  const MemoryPlan plan = model.plan_memory(options);
  PromptEncoder prompts;
  Inputs inputs;
  inputs.embeds = prompts.encode(model, options, plan);
  DenoisingStage stays(model, options, plan, inputs), reloads(model, options, plan, inputs);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(same_bits(stays.draw(i).latents, reloads.draw(i).latents)) << i;
    reloads.unload();
  }
}

TEST(Memory, SaysWhichStageNeedsMoreThanIsAllowed) {
  LoadedModel model = load(kSettings[1]);
  model.max_memory = 1 << 20;
  const std::string error = error_of([&] { return model.plan_memory(options_of(kSettings[1])); });
  EXPECT_THAT(error, testing::StartsWith("not enough memory: the "));
  EXPECT_THAT(error, testing::HasSubstr(" needs at least "));
  EXPECT_THAT(error, testing::HasSubstr("512x512 pixels in F32, 0.00 GiB are allowed "
                                        "(--max-memory); a smaller picture or --dtype bf16"));
}

}  // namespace
}  // namespace zimage
