// Adapter files of every kind and key style; tools/reference/make_adapters.py made the references.
#include <gmock/gmock.h>

#include "io/safetensors.h"
#include "models/adapter_binding.h"
#include "models/adapter_file.h"
#include "seeded_weights.h"
#include "transformer/transformer.h"

namespace zimage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char* const kFiles[] = {"peft", "kohya", "dora", "lokr", "loha", "diff", "names"};

std::filesystem::path file_named(const std::string& name) {
  return test_data("adapters/" + name + ".safetensors");
}

class AdapterFiles : public testing::Test {
 protected:
  ModuleShapes shapes() const {
    ModuleShapes result;
    for (const auto& [name, tensor] : tensors_) {
      if (name.ends_with(".weight")) result[name.substr(0, name.size() - 7)] = tensor.shape();
    }
    return result;
  }

  std::shared_ptr<AdapterSet> load(const std::vector<std::pair<std::string, float>>& files,
                                   bool is_merged = false) const {
    auto set = std::make_shared<AdapterSet>(is_merged);
    for (const auto& [name, scale] : files) {
      (void)bind_adapter(open_adapter(file_named(name)), shapes(), scale, true, *set);
    }
    return set;
  }

  // As the references were made: the case both_padded of three_heads.
  Tensor run(std::shared_ptr<const AdapterSet> set, Dtype compute = Dtype::kF32,
             std::uint64_t kept = std::numeric_limits<std::uint64_t>::max()) const {
    const auto config = TransformerConfig::from_json(model_.json.object("config"));
    WeightMap weights = weight_map("transformer", tensors_);
    weights.set_adapters(std::move(set));
    weights.keep_layers(kept);
    const Transformer transformer(config, weights, compute);
    const Tensor latents = seeded_uniform("latents", {config.in_channels, 6, 10}, 0, 2);
    const Tensor prompt = seeded_uniform("prompt_embeds", {7, config.cap_feat_dim}, 0, 8);
    return transformer(latents, 0.3f, *transformer.prepare(prompt, 6, 10));
  }

  // The message for a file with these tensors.
  std::string error_with(const std::map<std::string, Tensor>& tensors, float scale = 1) const {
    return error_of([&] {
      AdapterSet set;
      return bind_adapter(sort_adapter(tensors, settings_, "a.safetensors"), shapes(), scale, false,
                          set)
          .applied;
    });
  }

  GoldenModel model_{"transformer", "three_heads"};
  std::map<std::string, Tensor> tensors_ = model_.tensors();
  std::map<std::string, Tensor> golden_ =
      SafetensorsFile::open(test_data("adapters/outputs.safetensors")).tensors();
  AdapterSettings settings_;
};

// As the transformer without adapters, whose time embedding differs from torch's in the last bits.
constexpr double kTolerance = 1e-5;

TEST_F(AdapterFiles, GiveTheOutputsOfTorch) {
  for (const char* name : kFiles) {
    for (const auto& [scale, suffix] : {std::pair{1.0f, ".1.0"}, std::pair{-0.5f, ".-0.5"}}) {
      SCOPED_TRACE(str(name, suffix));
      const Tensor& expected = golden_.at(std::string(name) + suffix);
      EXPECT_LE(relative_error(run(load({{name, scale}})), expected), kTolerance);
      EXPECT_LE(relative_error(run(load({{name, scale}}, true)), expected), kTolerance);
    }
  }
}

TEST_F(AdapterFiles, AddUp) {
  std::vector<std::pair<std::string, float>> all;
  for (const char* name : kFiles) all.emplace_back(name, 0.5f);
  EXPECT_LE(relative_error(run(load(all)), golden_.at("all")), kTolerance);
  EXPECT_LE(relative_error(run(load(all, true)), golden_.at("all")), kTolerance);
}

TEST_F(AdapterFiles, AreTheSameWhenLayersDoNotStayInMemory) {
  for (const char* name : kFiles) {
    EXPECT_EQ(values_of(run(load({{name, 1}}), Dtype::kBf16, 0)),
              values_of(run(load({{name, 1}}), Dtype::kBf16)))
        << name;
  }
}

TEST_F(AdapterFiles, LeaveEveryBitAtScaleZero) {
  const auto set = load({{"peft", 0}, {"diff", 0}});
  EXPECT_TRUE(set->empty());
  EXPECT_EQ(values_of(run(set)), values_of(run(nullptr)));
}

TEST_F(AdapterFiles, SayWhatIsApplied) {
  AdapterSet set;
  AdapterFile file = open_adapter(file_named("lokr"));
  file.modules.push_back({"lora_te_layers_0_mlp", {}});
  file.modules.push_back({"layers.9.attention.to_q", {}});
  AppliedAdapter applied = bind_adapter(file, shapes(), 1, false, set);
  applied.name = "lokr";
  EXPECT_EQ(report_of(applied),
            "lokr at 1: applied 5 of 7 modules (LoKr of rank 1 to 3); not applied: "
            "lora_te_layers_0_mlp, layers.9.attention.to_q; 1 for a text encoder");
  EXPECT_THAT(error_of([&] { return bind_adapter(file, shapes(), 1, true, set).applied; }),
              HasSubstr("2 names without a place in this model (--lora-strict)"));
}

Tensor ones(const Shape& shape, Dtype dtype = Dtype::kF32) {
  return tensor_of(shape, std::vector<float>(static_cast<std::size_t>(shape.numel()), 1), dtype);
}

TEST_F(AdapterFiles, RefuseWhatDoesNotFitInOneLine) {
  const std::string q = "layers.0.attention.to_q", a = q + ".lora_A.weight",
                    b = q + ".lora_B.weight";
  const Tensor down = ones({4, 96}), up = ones({96, 4});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor bad = ones({4, 96});
  bad.data<float>()[7] = nan;
  const std::vector<std::pair<std::map<std::string, Tensor>, std::string>> cases{
      {{{a, down}}, "to_q has lora_A without lora_B, expected both"},
      {{{b, up}}, "without lora_A"},
      {{{a, ones({3, 96})}, {b, up}}, "lora_B is [96, 4] and lora_A is [3, 96], expected"},
      {{{a, zeros({0, 96})}, {b, zeros({96, 0})}}, "expected a matrix of rank 1 or more"},
      {{{a, bad}, {b, up}}, "lora_A holds values that are not finite"},
      {{{a, down}, {b, up}, {q + ".alpha", from_values({1}, {nan})}}, "alpha is nan"},
      {{{a, down}, {b, up}, {q + ".alpha", from_values({1}, {1e30f})}}, "alpha is 1e+30 at rank 4"},
      {{{a, ones({4, 64})}, {b, up}}, "changes a weight [96, 64], but layers.0.attention.to_q is"},
      {{{q + ".lokr_w1", ones({5, 5})}, {q + ".lokr_w2", ones({19, 19})}}, "[95, 95]"},
      {{{q + ".lokr_w1", ones({8, 8})},
        {q + ".lokr_w2", ones({12, 12})},
        {q + ".lokr_t2", ones({1})}},
       "belongs to convolutions"},
      {{{q + ".lokr_w1_a", ones({96, 1})},
        {q + ".lokr_w1_b", ones({1, 1000})},
        {q + ".lokr_w2", ones({1, 1})}},
       "lokr_w1_a and lokr_w1_b make [96, 1000], expected at most 65536"},
      {{{q + ".alpha", ones({1})}}, "has alpha alone"},
      {{{a, down}, {b, up}, {q + ".diff", ones({96, 96})}},
       "has lora_A and lora_B and diff; diff has no meaning beside the others"},
      {{{a, down}, {b, up}, {q + ".hada_w1_a", ones({96, 1})}}, "hada_w1_a has no meaning beside"},
      {{{q + ".lokr_w1", ones({8, 8})},
        {q + ".lokr_w1_a", ones({8, 1})},
        {q + ".lokr_w2", ones({12, 12})}},
       "lokr_w1_a has no meaning beside the others, expected parts of one LoKr"},
      {{{a, down}, {b, up}, {q + ".lora_B.bias", ones({96})}, {q + ".diff_b", ones({96})}},
       "lora_B has no meaning beside"},
      {{{a, zeros({4, 96}, Dtype::kI8)}, {b, up}}, "lora_A is I8, expected floating-point"},
      {{{a, down}, {b, up}, {q + ".dora_scale", ones({5})}}, "a magnitude of [5]"},
      {{{"transformer_blocks.0.attn.to_q.lora_A.weight", down},
        {"transformer_blocks.0.attn.to_q.lora_B.weight", up},
        {"single_transformer_blocks.0.attn.to_q.lora_A.weight", down},
        {"single_transformer_blocks.0.attn.to_q.lora_B.weight", up}},
       "both change layers.0.attention.to_q"},
      {{{"lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight", down}},
       "none of 1 modules is this model's"},
      {{{"text_encoder.layers.0.q.lora_A.weight", down}}, "text encoder are not applied"},
      {{{a, down}, {q + ".lora_down.weight", down}, {b, up}}, "two tensors that are its lora_A"},
  };
  for (const auto& [tensors, message] : cases) {
    const std::string error = error_with(tensors);
    EXPECT_THAT(error, AllOf(testing::StartsWith("a.safetensors"), HasSubstr(message)));
    EXPECT_EQ(error.find('\n'), error.npos);
  }
}

TEST_F(AdapterFiles, MayHaveMoreRanksThanChannels) {
  const std::string q = "layers.0.attention.to_q";
  EXPECT_EQ(error_with(
                {{q + ".lora_A.weight", ones({200, 96})}, {q + ".lora_B.weight", ones({96, 200})}}),
            "");
}

TEST_F(AdapterFiles, TakeAlphaFromTheConfigurationWhereTheFileHasNone) {
  const std::string q = "layers.0.attention.to_q";
  const AdapterFile file = sort_adapter(
      {{q + ".lora_A.weight", ones({4, 96})}, {q + ".lora_B.weight", ones({96, 4})}}, {}, "a");
  const auto factor = [&](std::string_view json) {
    return read_change(file.modules[0], AdapterSettings::from_json(Json::parse(json, "c")), "a")
        .adapter.factor;
  };
  EXPECT_EQ(factor("{}"), 1);
  EXPECT_EQ(factor(R"({"lora_alpha": 8, "r": 4})"), 2);
  EXPECT_EQ(factor(R"({"lora_alpha": 8, "use_rslora": true})"), 4);
  EXPECT_EQ(factor(R"({"lora_alpha": 8, "alpha_pattern": {"attention.to_q": 2}})"), 0.5f);
  EXPECT_EQ(factor(R"({"alpha_pattern": {"0.attention.to_q": 8, "attention.to_q": 2,
                                         "to_q": 4}})"),
            2);
}

TEST_F(AdapterFiles, RefuseAMagnitudeWithoutAxes) {
  const AdapterFile file = sort_adapter(
      {{"q.lora_A", ones({1, 4})}, {"q.lora_B", ones({1, 1})}, {"q.dora_scale", ones(Shape())}}, {},
      "a");
  EXPECT_THAT(error_of([&] { return read_change(file.modules[0], {}, "a").kind; }),
              HasSubstr("a magnitude of []"));
}

TEST_F(AdapterFiles, CheckTheScaleOfWholeLokrMatrices) {
  const std::string q = "layers.0.attention.to_q";
  const AdapterFile file =
      sort_adapter({{q + ".lokr_w1", ones({8, 8})}, {q + ".lokr_w2", ones({12, 12})}}, {}, "a");
  const auto read = [&](double alpha, double rank) {
    const AdapterSettings settings{.alpha = alpha, .rank = rank, .is_peft_lokr = true};
    return read_change(file.modules[0], settings, "a").adapter.factor;
  };
  EXPECT_EQ(read(8, 4), 2);
  EXPECT_THAT(error_of([&] { return read(1e300, 1e-300); }), HasSubstr("alpha is 1e+300 at rank"));
  EXPECT_THAT(error_of([&] { return read(1e30, 4); }), HasSubstr("expected at most 10000 times"));
}

TEST_F(AdapterFiles, TakeTheFinerNamesOfWhatStandsThereTwice) {
  std::map<std::string, Tensor> tensors;
  const auto add = [&](const std::string& name, int rows) {
    tensors[name + ".lora.down.weight"] = ones({2, 96});
    tensors[name + ".lora.up.weight"] = ones({rows, 2});
  };
  for (const char* part : {"to.q", "to.k", "to.v", "to_out.0", "out"}) {
    add(str("default.layers.0.attention.", part), 96);
  }
  add("default.layers.0.attention.qkv", 3 * 96);
  add("default.layers.1.attention.qkv", 3 * 96);
  const AdapterFile file = sort_adapter(tensors, {}, "a");
  AdapterSet set;
  const AppliedAdapter applied = bind_adapter(file, shapes(), 1, true, set);
  EXPECT_EQ(applied.applied, 5);
  EXPECT_THAT(applied.repeated,
              ElementsAre("default.layers.0.attention.out", "default.layers.0.attention.qkv"));
  EXPECT_THAT(report_of(applied), HasSubstr("applied 5 of 7 modules (LoRA of rank 2); in the file "
                                            "under finer names, too: default.layers.0"));
  EXPECT_EQ(survey_adapter(file).applied, 5);
}

TEST_F(AdapterFiles, ATextEncodersFinerNamesShadowNothing) {
  std::map<std::string, Tensor> tensors;
  const auto add = [&](const std::string& name, int out, int in) {
    tensors[name + ".lora_A.weight"] = ones({2, in});
    tensors[name + ".lora_B.weight"] = ones({out, 2});
  };
  add("diffusion_model.layers.0.attention.qkv", 3 * 96, 96);
  add("diffusion_model.layers.0.attention.out", 96, 96);
  for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    add(str("model.layers.0.self_attn.", part), 40, 64);
  }
  const AdapterFile file = sort_adapter(tensors, {}, "a");
  AdapterSet set;
  const AppliedAdapter applied = bind_adapter(file, shapes(), 1, false, set);
  EXPECT_EQ(applied.applied, 2);
  EXPECT_EQ(applied.for_text_encoder, 4);
  EXPECT_THAT(applied.repeated, IsEmpty());
}

TEST_F(AdapterFiles, ABiasOfAFinerNameShadowsNoWeight) {
  const std::string attention = "diffusion_model.layers.0.attention.";
  std::map<std::string, Tensor> tensors{{attention + "qkv.lora_A.weight", ones({2, 96})},
                                        {attention + "qkv.lora_B.weight", ones({3 * 96, 2})}};
  for (const char* part : {"to_q", "to_k", "to_v"}) {
    tensors[str(attention, part, ".diff_b")] = ones({96});
  }
  AdapterSet set;
  const AppliedAdapter applied =
      bind_adapter(sort_adapter(tensors, {}, "a"), shapes(), 1, true, set);
  EXPECT_EQ(applied.applied, 4);
  EXPECT_THAT(applied.repeated, IsEmpty());
}

TEST(AdapterNames, FollowEveryKnownStyle) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"layers.3.attention.out", "layers.3.attention.to_out.0"},
      {"default.layers.3.attention.to.v", "layers.3.attention.to_v"},
      {"model.diffusion_model.noise_refiner.1.attention.to_out.0",
       "noise_refiner.1.attention.to_out.0"},
      {"lora_unet_context_refiner_0_attention_to_out_0", "context_refiner.0.attention.to_out.0"},
      {"lora_unet_layers_12_adaLN_modulation_0", "layers.12.adaLN_modulation.0"},
      {"lycoris_layers_0_feed_forward_w3", "layers.0.feed_forward.w3"},
      {"base_model.model.transformer.layers.0.ff.net.0.proj", "layers.0.feed_forward.w1"},
      {"lora_unet_all_x_embedder_2-1", "all_x_embedder.2-1"},
      {"x_embedder", "all_x_embedder.2-1"},
      {"final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"},
      {"unet.cap_embedder.1", "cap_embedder.1"},
      {"t_embedder.mlp.2", "t_embedder.mlp.2"}};
  for (const auto& [name, module] : cases) {
    const auto target = adapter_target(name);
    ASSERT_TRUE(target) << name;
    EXPECT_THAT(target->modules, ElementsAre(module)) << name;
  }
  EXPECT_THAT(
      adapter_target("lora_unet_layers_0_attention_qkv")->modules,
      ElementsAre("layers.0.attention.to_q", "layers.0.attention.to_k", "layers.0.attention.to_v"));
  EXPECT_FALSE(adapter_target("lora_unet_input_blocks_1_0"));
  EXPECT_FALSE(adapter_target("img_in"));
}

}  // namespace
}  // namespace zimage
