// What the program says it will need, against what it took.
#include "pipeline/memory.h"

#include <gtest/gtest.h>

#include "core/allocator.h"
#include "picture_testing.h"
#include "pipeline/loaded_model.h"

namespace zimage {
namespace {

Image gray(int width, int height) {
  const auto bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
  return {width, height, std::vector<std::uint8_t>(bytes, 128)};
}

struct Setting {
  std::string name;
  bool has_image, has_control;
  ComputeDtype dtype;
  float guidance = 0;
};

// Large enough for activations to count, of which the estimate is an upper bound.
constexpr int kSide = 512;

std::uint64_t estimated(const Setting& setting, const GenerateOptions& options) {
  const Snapshot files = Snapshot::open(test_snapshot());
  const auto text_encoder = TextEncoderConfig::from_json(files.config_of("text_encoder"));
  const auto transformer = TransformerConfig::from_json(files.config_of("transformer"));
  const auto vae = VaeConfig::from_json(files.config_of("vae"));
  std::uint64_t most = 0;
  for (const StageMemory& stage :
       estimate_memory({.snapshot = files,
       .compute = setting.dtype == ComputeDtype::kF32 ? Dtype::kF32 : Dtype::kBf16,
       .text_encoder = text_encoder,
       .transformer = transformer,
       .vae = vae,
       .width = kSide,
       .height = kSide,
       .tokens = options.max_sequence_length,
       .prompts = setting.guidance > 0 ? 2 : 1,
       .has_image = setting.has_image || setting.has_control,
       .has_control = setting.has_control,
       .control_weight_bytes = 0})) {
    most = std::max(most, stage.bytes());
  }
  return most;
}

TEST(Memory, EstimatesAreAboveWhatIsTakenAndNotFarFromIt) {
  for (const Setting& setting : {Setting{"text", false, false, ComputeDtype::kBf16},
                                 Setting{"text in f32", false, false, ComputeDtype::kF32},
                                 Setting{"image", true, false, ComputeDtype::kBf16},
                                 Setting{"control", false, true, ComputeDtype::kBf16},
                                 Setting{"guided", false, false, ComputeDtype::kBf16, 3}}) {
    SCOPED_TRACE(setting.name);
    PipelineOptions how{.dtype = setting.dtype};
    if (setting.has_control) how.model.controlnet = test_data("control/union-2.1.safetensors");
    Pipeline pipeline(test_snapshot(), how);
    GenerateOptions options;
    options.prompt = "a cat";
    options.width = options.height = kSide;
    options.steps = 2;
    options.guidance_scale = setting.guidance;
    options.max_sequence_length = 32;
    if (setting.has_image) options.image = gray(kSide, kSide);
    if (setting.has_control) options.control.image = gray(kSide, kSide);
    allocator::trim();
    allocator::reset_peak();
    const std::size_t before = allocator::peak_bytes();
    (void)pipeline.generate(options);
    const std::size_t taken = allocator::peak_bytes() - before;
    const std::uint64_t most = estimated(setting, options);
    EXPECT_LE(taken, most * 9 / 8);  // sizes are rounded up
    EXPECT_GE(taken, most / 4);
  }
}

}  // namespace
}  // namespace zimage
