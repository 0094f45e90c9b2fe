// What the profiler notes, and what it leaves out.
#include "core/profile.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "io/json.h"
#include "io/safetensors.h"
#include "models/snapshot.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "picture_testing.h"
#include "pipeline/cost.h"
#include "pipeline/loaded_model.h"

namespace zimage {
namespace {

using testing::ElementsAre;

const StageProfile& stage_of(const Profile& profile, const std::string& name) {
  for (const StageProfile& stage : profile.stages) {
    if (stage.name == name) return stage;
  }
  throw Error("no stage " + name);
}

std::vector<std::string> names_of(const StageProfile& stage) {
  std::vector<std::string> names;
  for (const OpProfile& op : stage.ops) names.push_back(op.name);
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Profile, CountsCallsAndWorkByShape) {
  const profile::Recorder recorder;
  {
    const profile::Stage stage("a stage");
    const Tensor weight = zeros({5, 3}, Dtype::kBf16);
    for (const std::int64_t rows : {2, 4, 4}) {
      (void)ops::linear(zeros({rows, 3}, Dtype::kBf16), weight, {}, Dtype::kF32);
    }
  }
  const Profile profile = recorder.result();
  ASSERT_EQ(profile.stages.size(), 1u);
  EXPECT_EQ(profile.stages[0].calls, 1);
  ASSERT_EQ(profile.stages[0].ops.size(), 2u);
  EXPECT_DOUBLE_EQ(profile.stages[0].flop(), 2.0 * (2 + 4 + 4) * 3 * 5);
  for (const OpProfile& op : profile.stages[0].ops) {
    const std::int64_t rows = op.shape.at(0);
    EXPECT_THAT(op.shape, ElementsAre(rows, 3, 5));
    EXPECT_EQ(op.calls, rows == 4 ? 2 : 1);
    EXPECT_EQ(op.dtype, "BF16");
    EXPECT_DOUBLE_EQ(op.bytes, op.calls * (2 * 5 * 3 + 2 * rows * 3 + 4 * rows * 5));
  }
  EXPECT_LE(profile.stages[0].op_seconds(), profile.stages[0].seconds);
  EXPECT_LE(profile.stages[0].seconds, profile.seconds);
}

TEST(Profile, TakesWhatRunsInsideAnOperationAsPartOfIt) {
  const ThreadCount two(2);
  const profile::Recorder recorder;
  const Tensor x = zeros({8});
  {
    const profile::Op outer("outer", {1}, {});
    (void)ops::silu(x);
  }
  parallel_for(4, [&](std::int64_t) { (void)ops::silu(x); });
  {
    const profile::Stage stage("outer stage");
    const profile::Stage inner("inner stage");
    (void)ops::tanh(x);
  }
  const Profile profile = recorder.result();
  ASSERT_EQ(profile.stages.size(), 2u);
  EXPECT_THAT(names_of(stage_of(profile, "between the stages")), ElementsAre("outer"));
  EXPECT_THAT(names_of(stage_of(profile, "outer stage")), ElementsAre("tanh"));
}

TEST(Profile, ListensOnlyWhileARecorderLives) {
  (void)ops::silu(zeros({8}));
  EXPECT_EQ(profile::Recorder::current(), nullptr);
  const profile::Recorder outer;
  {
    const profile::Recorder inner;
    (void)ops::silu(zeros({8}));
    EXPECT_EQ(inner.result().stages.size(), 1u);
  }
  EXPECT_TRUE(outer.result().stages.empty());
  EXPECT_EQ(profile::Recorder::current(), &outer);
}

TEST(Profile, EndsItsNotesWhenAnOperationThrows) {
  const profile::Recorder recorder;
  EXPECT_THROW(
      {
        const profile::Stage stage("broken");
        const profile::Op op("broken", {1}, {});
        throw Error("broken");
      },
      Error);
  (void)ops::silu(zeros({8}));
  EXPECT_EQ(recorder.result().stages.size(), 2u);
}

TEST(Profile, BoundsAnOperationByArithmeticOrMemory) {
  const Peaks peaks{.f32 = 100, .bf16 = 0, .int8 = 300, .memory = 10};
  OpProfile op;
  op.dtype = "BF16";
  op.flop = 1e9;
  op.bytes = 5e7;
  EXPECT_DOUBLE_EQ(seconds_at_peak(op, peaks), 0.01);  // by the f32 peak: there is no other
  EXPECT_FALSE(is_bound_by_memory(op, peaks));
  op.bytes = 5e8;
  EXPECT_DOUBLE_EQ(seconds_at_peak(op, peaks), 0.05);
  EXPECT_TRUE(is_bound_by_memory(op, peaks));
  op.dtype = "I8";
  op.flop = 6e10;
  EXPECT_DOUBLE_EQ(seconds_at_peak(op, peaks), 0.2);
  EXPECT_DOUBLE_EQ(seconds_at_peak(op, {}), 0);
}

// The tokens of the prompt.
std::int64_t queries_of(const StageProfile& stage) {
  for (const OpProfile& op : stage.ops) {
    if (op.name == "attention") return op.shape.at(0);
  }
  throw Error("no attention in " + stage.name);
}

struct Configs {
  TextEncoderConfig text_encoder;
  TransformerConfig transformer;
  VaeConfig vae;
};

Configs configs() {
  const Snapshot files = Snapshot::open(test_snapshot());
  return {TextEncoderConfig::from_json(files.config_of("text_encoder")),
          TransformerConfig::from_json(files.config_of("transformer")),
          VaeConfig::from_json(files.config_of("vae"))};
}

// The operations of every stage against the counts of pipeline/cost.h, which leave out what does
// not grow with the picture: the time's embedding and the modulation.
TEST(Profile, OfAPictureHoldsTheCostOfItsStages) {
  Pipeline pipeline(test_snapshot());
  GenerateOptions options = pipeline.defaults();
  options.prompt = "a cat";
  options.width = options.height = 128;
  options.steps = 2;
  Image gray{128, 128, std::vector<std::uint8_t>(std::size_t{128} * 128 * 3, 128)};
  options.image = std::move(gray);
  options.strength = 1;
  int reports = 0;
  Profile profile;
  options.on_profile = [&](const Profile& p) {
    ++reports;
    profile = p;
  };
  ASSERT_EQ(pipeline.generate(options).size(), 1u);
  ASSERT_EQ(reports, 1);
  const auto [text_encoder, transformer, vae] = configs();
  EXPECT_DOUBLE_EQ(stage_of(profile, "vae decoder").flop(),
                   cost_of_vae_decoder(vae, 128, 128).total());
  EXPECT_DOUBLE_EQ(stage_of(profile, "vae encoder").flop(),
                   cost_of_vae_encoder(vae, 128, 128).total());
  const StageProfile& forward = stage_of(profile, "transformer");
  const StageProfile& text = stage_of(profile, "text encoder");
  const std::int64_t tokens = queries_of(text);
  EXPECT_DOUBLE_EQ(text.flop(), cost_of_text_encoder(text_encoder, tokens).total());
  const SequenceLength length(transformer, vae, 128, 128, static_cast<int>(tokens));
  const double expected = cost_of_transformer(transformer, length).total() +
                          cost_of_caption(transformer, length.caption).total();
  EXPECT_GE(forward.flop(), expected);
  EXPECT_LE(forward.flop(), expected * 1.05);
  double stages = 0;
  for (const StageProfile& stage : profile.stages) {
    EXPECT_LE(stage.op_seconds(), stage.seconds * (1 + 1e-9)) << stage.name;
    stages += stage.seconds;
  }
  EXPECT_LE(stages, profile.seconds);
  EXPECT_GT(profile.peaks.memory, 0);
}

// One change of each kind, for modules whose products have different numbers of rows. All shapes
// are those of the test model.
void write_adapters(const std::filesystem::path& path) {
  std::map<std::string, Tensor> tensors;
  std::uint64_t seed = 1;
  const auto add = [&](const std::string& name, const Shape& shape) {
    tensors["transformer." + name] = random_normal(shape, Dtype::kF32, ++seed, 0.1f);
  };
  const auto add_lora = [&](const std::string& module, std::int64_t in, std::int64_t out) {
    add(module + ".lora_A.weight", {3, in});
    add(module + ".lora_B.weight", {out, 3});
  };
  add_lora("layers.0.attention.to_q", 64, 64);
  add_lora("layers.2.attention.to_k", 64, 64);
  add_lora("layers.2.feed_forward.w2", 170, 64);
  add_lora("context_refiner.0.attention.to_v", 64, 64);
  add_lora("layers.0.attention.to_k", 64, 64);
  add("layers.0.attention.to_k.dora_scale", {64, 1});
  add_lora("layers.0.attention.to_v", 64, 64);
  add("layers.0.attention.to_v.dora_scale", {1, 64});
  add("noise_refiner.0.feed_forward.w1.lokr_w1", {10, 8});
  add("noise_refiner.0.feed_forward.w1.lokr_w2_a", {17, 2});
  add("noise_refiner.0.feed_forward.w1.lokr_w2_b", {2, 8});
  for (const char* factor : {"hada_w1_", "hada_w2_"}) {
    add(str("layers.1.feed_forward.w3.", factor, "a"), {170, 2});
    add(str("layers.1.feed_forward.w3.", factor, "b"), {2, 64});
  }
  save_safetensors(path, tensors);
}

// Of the transformer, drawing one update.
double flop_with(const PipelineOptions& how, std::int64_t* tokens = nullptr) {
  Pipeline pipeline(test_snapshot(), how);
  GenerateOptions options = pipeline.defaults();
  options.prompt = "a cat";
  options.width = options.height = 128;
  options.steps = 2;
  Profile profile;
  options.on_profile = [&](const Profile& p) { profile = p; };
  (void)pipeline.generate(options);
  if (tokens != nullptr) *tokens = queries_of(stage_of(profile, "text encoder"));
  return stage_of(profile, "transformer").flop();
}

TEST(Profile, OfAPictureHoldsTheCostOfAdapters) {
  const TempDir dir;
  write_adapters(dir / "all.safetensors");
  const auto [text_encoder, transformer, vae] = configs();
  for (const bool is_merged : {false, true}) {
    for (const ComputeDtype dtype : {ComputeDtype::kBf16, ComputeDtype::kInt8}) {
      PipelineOptions how{.dtype = dtype, .merge_adapters = is_merged};
      std::int64_t caption = 0;
      const double plain = flop_with(how, &caption);
      how.adapters = {{.source = (dir / "all.safetensors").string()}};
      const double adapted = flop_with(how);
      const LoadedModel model(resolve_model(test_snapshot(), how.model), {}, choose_adapters(how),
                              how);
      const SequenceLength tokens(transformer, vae, 128, 128, static_cast<int>(caption));
      const AdapterCost cost =
          cost_of_adapters(*model.adapters.set, transformer, tokens, [&](const std::string& name) {
            return model.int8.policy.applies_to(name + ".weight", {64, 64});
          });
      const double expected = (cost.forward + cost.caption + cost.gates + cost.merging).total();
      EXPECT_GT(expected, 0);
      EXPECT_NEAR(adapted - plain, expected, 1e-9 * plain) << is_merged;
    }
  }
}

}  // namespace
}  // namespace zimage
