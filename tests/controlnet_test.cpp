#include "transformer/controlnet.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <stdexcept>

#include "seeded_weights.h"
#include "transformer/caption.h"

namespace zimage {
namespace {

using Refiner = ControlNetConfig::Refiner;
using testing::HasSubstr;

const char* const kModels[] = {"v1_0", "v2_0", "v2_1", "lite", "places"};

using Tensors = std::map<std::string, Tensor>;

Json description(const std::string& name) {
  return Json::parse_file(test_data("controlnet/" + name + ".json"));
}

// A control network and the transformer that it belongs to.
struct Model : GoldenModel {
  explicit Model(const std::string& name)
      : GoldenModel("controlnet", name),
        base(description(json.get<std::string>("transformer"))),
        transformer(TransformerConfig::from_json(base.object("config"))),
        config(ControlNetConfig::from_json(json.object("config"), transformer)) {}

  Transformer load_transformer(Dtype compute) const {
    return {transformer, weight_map("transformer", seeded_tensors(base)), compute};
  }
  ControlNet load(Dtype compute) const { return load(tensors(), compute); }
  ControlNet load(const Tensors& tensors, Dtype compute = Dtype::kF32) const {
    return {config, transformer, weight_map("controlnet", tensors), compute};
  }
  ControlNetConfig config_of(const Tensors& tensors) const {
    return ControlNetConfig::from_weights(weight_map("controlnet", tensors), transformer);
  }

  Json base;
  TransformerConfig transformer;
  ControlNetConfig config;
};

// What goes into one step.
struct Inputs {
  Inputs(const Model& model, const Json& test_case)
      : height(test_case.get<int>("height")),
        width(test_case.get<int>("width")),
        t(test_case.get<float>("t")),
        scale(test_case.get<float>("scale")),
        latents(seeded_uniform("latents", {model.transformer.in_channels, height, width}, 0, 2)),
        prompt_embeds(seeded_uniform(
            "prompt_embeds", {test_case.get<int>("tokens"), model.transformer.cap_feat_dim}, 0, 8)),
        control_latents(
            seeded_uniform("control_context", {model.config.in_channels, height, width}, 0, 2)) {}

  int height, width;
  float t, scale;
  Tensor latents, prompt_embeds, control_latents;
};

struct Result {
  std::map<int, Tensor> hints;  // scaled
  Tensor output;
};

Tensor scaled(const Tensor& x, float scale) {
  std::vector<float> values = values_of(x);
  for (float& value : values) value *= scale;
  return tensor_of(x.shape(), values);
}

Result run(const Transformer& transformer, const ControlNet& net, const Inputs& in,
           const std::function<void()>& between_blocks = {}) {
  const auto caption = transformer.prepare(in.prompt_embeds, in.height, in.width);
  const ControlContext context = net.prepare(in.control_latents, transformer.x_pad_token());
  Result result;
  const auto on_hint = [&](int layer, const Tensor& hint) {
    result.hints[layer] = scaled(hint, in.scale);
  };
  const Control control{.net = net, .context = context, .scale = in.scale, .on_hint = on_hint};
  result.output = transformer(in.latents, in.t, *caption, between_blocks, &control);
  return result;
}

// As transformer_test has it: torch's exp is off by a unit in some frequencies of the time.
constexpr double kTimeTolerance = 1e-5;

TEST(ControlNet, MatchesDiffusersInF32) {
  for (const char* name : kModels) {
    const Model model(name);
    const Transformer transformer = model.load_transformer(Dtype::kF32);
    const ControlNet net = model.load(Dtype::kF32);
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", ", title));
      const auto [hints, output] = run(transformer, net, Inputs(model, test_case));
      EXPECT_LE(relative_error(output, model.golden.at(title + ".output")), kTimeTolerance);
      EXPECT_EQ(output.shape(), model.golden.at(title + ".output").shape());
      EXPECT_EQ(hints.size(), title == "off" ? 0 : model.config.layer_places.size());
      if (title == "caption_padded") continue;  // its hints are not stored
      for (const auto& [layer, hint] : hints) {
        SCOPED_TRACE(layer);
        const Tensor& golden = model.golden.at(str(title, ".hint_", layer));
        EXPECT_LE(relative_error(hint, golden), kTimeTolerance);
        EXPECT_EQ(hint.shape(), golden.shape());
      }
    }
  }
}

// See transformer_test: errors of branches add up in quadrature, and each passes on the error of
// its input about once more. A hint has come through the noise refiner beside the control blocks,
// and its projections, two on the way in and one out, count like a branch each.
double bf16_bound(int branches) { return 2 * std::sqrt(2.0 * (branches + 2)) / 512; }

TEST(ControlNet, IsBitIdenticalWhenLayersDoNotStayInMemory) {
  for (const char* name : kModels) {
    const Model model(name);
    const Inputs inputs(model, model.json.objects("cases")[0]);
    const Transformer transformer = model.load_transformer(Dtype::kBf16);
    WeightMap weights = weight_map("controlnet", model.tensors());
    weights.keep_layers(0);
    const ControlNet net(model.config, model.transformer, weights, Dtype::kBf16);
    EXPECT_EQ(values_of(run(transformer, net, inputs).output),
              values_of(run(transformer, model.load(Dtype::kBf16), inputs).output))
        << name;
  }
}

TEST(ControlNet, StaysWithinRoundingOfF32InBf16) {
  for (const char* name : kModels) {
    const Model model(name);
    const Transformer transformer = model.load_transformer(Dtype::kBf16);
    const ControlNet net = model.load(Dtype::kBf16);
    const int refiner = model.transformer.n_refiner_layers, main = model.transformer.n_layers;
    const auto layers = static_cast<int>(model.config.layer_places.size());
    const int control_refiner = model.config.refiner == Refiner::kControlLayers ? layers : refiner;
    const int of_hints = 2 * (refiner + control_refiner + layers) + 3;
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", ", title));
      const auto [hints, output] = run(transformer, net, Inputs(model, test_case));
      EXPECT_LE(relative_error(output, model.golden.at(title + ".output")),
                bf16_bound(of_hints + 2 * main));
      if (title == "caption_padded") continue;
      for (const auto& [layer, hint] : hints) {
        const Tensor& golden = model.golden.at(str(title, ".hint_", layer));
        EXPECT_LE(relative_error(hint, golden), bf16_bound(of_hints)) << layer;
      }
    }
  }
}

TEST(ControlNet, IsBitIdenticalForAnyNumberOfThreads) {
  for (const char* name : {"v2_0", "lite"}) {
    const Model model(name);
    const Inputs in(model, model.json.objects("cases")[2]);
    for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
      const Transformer transformer = model.load_transformer(compute);
      const ControlNet net = model.load(compute);
      std::vector<std::vector<float>> outputs;
      for (const int threads : {1, 2, 3}) {
        const ThreadCount scope(threads);
        outputs.push_back(values_of(run(transformer, net, in).output));
      }
      EXPECT_EQ(outputs[1], outputs[0]) << name << " " << str(compute);
      EXPECT_EQ(outputs[2], outputs[0]) << name << " " << str(compute);
    }
  }
}

TEST(ControlNet, HintsSeveralCaptionsInOnePassAsEachInItsOwn) {
  for (const char* name : kModels) {
    const Model model(name);
    const int height = 16, width = 10;
    const int channels = model.transformer.in_channels;
    const Tensor latents = seeded_uniform("latents", {channels, height, width}, 0, 2);
    const Tensor inputs =
        seeded_uniform("control_context", {model.config.in_channels, height, width}, 0, 2);
    for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
      const Transformer transformer = model.load_transformer(compute);
      const ControlNet net = model.load(compute);
      const ControlContext context = net.prepare(inputs, transformer.x_pad_token());
      const Control control{.net = net, .context = context};
      for (const auto& lengths : std::vector<std::vector<int>>{{7, 31}, {7, 40}}) {
        std::vector<std::shared_ptr<const Transformer::Caption>> captions;
        std::vector<const Transformer::Caption*> together;
        for (const int tokens : lengths) {
          const auto prompt =
              seeded_uniform(str("prompt", tokens), {tokens, model.transformer.cap_feat_dim}, 0, 8);
          captions.push_back(transformer.prepare(prompt, height, width));
          together.push_back(captions.back().get());
        }
        const auto outputs = transformer(latents, 0.3f, together, {}, &control);
        for (std::size_t i = 0; i < captions.size(); ++i) {
          SCOPED_TRACE(str(name, ", ", compute, ", caption ", i));
          EXPECT_EQ(values_of(outputs[i]),
                    values_of(transformer(latents, 0.3f, *captions[i], {}, &control)));
        }
      }
    }
  }
}

TEST(ControlNet, CallsBackBeforeEveryBlock) {
  // Blocks of the control network, and those of the noise refiner that hints make run again.
  const std::map<std::string, int> expected{{"v1_0", 2 + 2},
                                            {"v2_0", 3 + 3 + 1},
                                            {"v2_1", 2 + 3 + 1},
                                            {"lite", 3 + 3 + 2},
                                            {"places", 2 + 3}};
  for (const char* name : kModels) {
    const Model model(name);
    const Transformer transformer = model.load_transformer(Dtype::kF32);
    const ControlNet net = model.load(Dtype::kF32);
    int calls = 0;
    run(transformer, net, Inputs(model, model.json.objects("cases")[0]), [&] { ++calls; });
    EXPECT_EQ(calls - model.transformer.n_refiner_layers - model.transformer.n_layers,
              expected.at(name))
        << name;
  }
}

class LoadedControlNet : public testing::Test {
 protected:
  Model model{"v2_1"};
  Transformer transformer = model.load_transformer(Dtype::kF32);
  ControlNet net = model.load(Dtype::kF32);
  Inputs in{model, model.json.objects("cases")[0]};
};

TEST_F(LoadedControlNet, StopsAtEveryBlockWhereTheCallbackThrows) {
  int blocks = 0;
  run(transformer, net, in, [&] { ++blocks; });
  for (int last = 1; last <= blocks; ++last) {
    int calls = 0;
    const auto cancel = [&] {
      if (++calls == last) throw std::runtime_error("cancelled");
    };
    EXPECT_THROW(run(transformer, net, in, cancel), std::runtime_error);
    EXPECT_EQ(calls, last);
  }
}

TEST_F(LoadedControlNet, TakesNoPartWithAScaleOfZero) {
  in.scale = 0;
  int calls = 0;
  const Result off = run(transformer, net, in, [&] { ++calls; });
  const auto caption = transformer.prepare(in.prompt_embeds, in.height, in.width);
  EXPECT_EQ(values_of(off.output), values_of(transformer(in.latents, in.t, *caption)));
  EXPECT_EQ(calls, model.transformer.n_refiner_layers + model.transformer.n_layers);
  EXPECT_TRUE(off.hints.empty());
}

TEST_F(LoadedControlNet, ContextServesEveryStep) {
  const auto expected = values_of(run(transformer, net, in).output);
  const auto caption = transformer.prepare(in.prompt_embeds, in.height, in.width);
  const ControlContext context = net.prepare(in.control_latents, transformer.x_pad_token());
  const Control control{.net = net, .context = context, .scale = in.scale};
  transformer(in.control_latents.slice(0, 4), 0.9f, *caption, {}, &control);
  EXPECT_EQ(values_of(transformer(in.latents, in.t, *caption, {}, &control)), expected);
}

TEST_F(LoadedControlNet, TakesF32FilesAsWell) {
  auto tensors = model.tensors();
  for (auto& [name, tensor] : tensors) tensor = tensor_of(tensor.shape(), values_of(tensor));
  const Transformer bf16_transformer = model.load_transformer(Dtype::kBf16);
  EXPECT_EQ(values_of(run(bf16_transformer, model.load(tensors, Dtype::kBf16), in).output),
            values_of(run(bf16_transformer, model.load(Dtype::kBf16), in).output));
}

TEST_F(LoadedControlNet, RejectsLatentsOfAnotherShape) {
  for (const Tensor& bad : {zeros({4, 6, 10}), zeros({9, 60}), zeros({9, 6, 10}, Dtype::kBf16)}) {
    EXPECT_EQ(error_of([&] { return net.prepare(bad, transformer.x_pad_token()).tokens; }),
              str("controlnet: latents are ", bad.shape(), " ", bad.dtype(),
                  ", expected [9, height, width] F32"));
  }
  for (const auto& [height, width] : {std::pair{5, 10}, {6, 9}, {0, 10}}) {
    const Tensor bad = zeros({9, height, width});
    EXPECT_EQ(error_of([&] { return net.prepare(bad, transformer.x_pad_token()).tokens; }),
              str("controlnet: latents of ", height, " x ", width, ", expected multiples of 2"));
  }
}

TEST_F(LoadedControlNet, RejectsContextOfAnotherPicture) {
  in.control_latents = zeros({9, 10, 6});
  EXPECT_EQ(error_of([&] { return run(transformer, net, in).output; }),
            "transformer: the control context is for latents of 10 x 6, expected 6 x 10");
}

TEST_F(LoadedControlNet, RejectsScaleThatIsNoNumber) {
  in.scale = std::nanf("");
  EXPECT_EQ(error_of([&] { return run(transformer, net, in).output; }),
            "transformer: the control scale is nan, expected a number");
}

TEST(ControlNetWeights, AreNamedWhenMissing) {
  for (const char* model_name : {"v1_0", "v2_0", "v2_1"}) {
    const Model model(model_name);
    const auto all = model.tensors();
    for (const auto& [name, tensor] : all) {
      auto tensors = all;
      tensors.erase(name);
      EXPECT_THAT(error_of([&] { return model.load(tensors); }),
                  HasSubstr(str("controlnet: tensor ", name, " ", tensor.shape(), " is missing")));
    }
  }
}

TEST(ControlNetWeights, AreNamedWhenOfAnotherShape) {
  const Model model("v2_1");
  auto tensors = model.tensors();
  tensors["control_layers.1.after_proj.weight"] = zeros({24, 25});
  EXPECT_THAT(error_of([&] { return model.load(tensors); }),
              HasSubstr("control_layers.1.after_proj.weight is [24, 25], expected [24, 24]"));
}

TEST(ControlNetWeights, MayNotHoldMoreThanTheModel) {
  const Model model("v2_1");
  auto tensors = model.tensors();
  tensors["control_noise_refiner.2.after_proj.bias"] = zeros({24});
  EXPECT_EQ(error_of([&] { return model.load(tensors); }),
            "controlnet: 1 tensor that this model does not have: "
            "control_noise_refiner.2.after_proj.bias");
}

TEST(ControlNetWeights, MayCountAnActivationBeforeTheModulation) {
  const Model model("v1_0");
  const Inputs in(model, model.json.objects("cases")[0]);
  const Transformer transformer = model.load_transformer(Dtype::kF32);
  Tensors renamed;
  for (const auto& [name, tensor] : model.tensors()) {
    std::string key = name;
    if (const auto at = key.find("adaLN_modulation.0"); at != std::string::npos) key[at + 17] = '1';
    renamed[key] = tensor;
  }
  EXPECT_TRUE(renamed.contains("control_layers.1.adaLN_modulation.1.bias"));
  EXPECT_EQ(values_of(run(transformer, model.load(renamed), in).output),
            values_of(run(transformer, model.load(Dtype::kF32), in).output));
}

// 2.0 as published: with the names of 2.1, and refiner blocks as they were before training.
TEST(ControlNetWeights, MayHoldRefinerBlocksThatWereNeverTrained) {
  const Model model("v2_0"), newer("v2_1");
  auto tensors = model.tensors();
  for (const auto& [name, tensor] : newer.tensors()) tensors.try_emplace(name, tensor);
  EXPECT_EQ(model.config_of(tensors).refiner, Refiner::kOwn);
  tensors["control_noise_refiner.0.before_proj.weight"] = zeros({24, 24}, Dtype::kBf16);
  EXPECT_EQ(model.config_of(tensors).refiner, Refiner::kControlLayers);

  const Inputs in(model, model.json.objects("cases")[0]);
  const Transformer transformer = model.load_transformer(Dtype::kF32);
  EXPECT_EQ(values_of(run(transformer, model.load(tensors), in).output),
            values_of(run(transformer, model.load(Dtype::kF32), in).output));
}

void expect_equal(const ControlNetConfig& actual, const ControlNetConfig& expected) {
  EXPECT_EQ(actual.in_channels, expected.in_channels);
  EXPECT_EQ(actual.layer_places, expected.layer_places);
  EXPECT_EQ(actual.refiner_places, expected.refiner_places);
  EXPECT_EQ(actual.refiner, expected.refiner);
}

TEST(ControlNetConfig, IsFoundFromTheTensors) {
  for (const char* name : {"v1_0", "v2_0", "v2_1", "lite"}) {
    SCOPED_TRACE(name);
    const Model model(name);
    expect_equal(model.config_of(model.tensors()), model.config);
  }
}

TEST(ControlNetConfig, IsFoundWhereATensorIsMissing) {
  const Model model("v2_1");
  for (const char* name :
       {"control_noise_refiner.0.after_proj.weight", "control_noise_refiner.0.before_proj.weight",
        "control_layers.2.after_proj.weight", "control_layers.0.attention.to_q.weight"}) {
    SCOPED_TRACE(name);
    auto tensors = model.tensors();
    tensors.erase(name);
    expect_equal(model.config_of(tensors), model.config);
    EXPECT_THAT(error_of([&] { return model.load(tensors); }), HasSubstr(name));
  }
}

constexpr std::string_view kTurboConfig = R"({
  "axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "cap_feat_dim": 2560, "dim": 3840,
  "in_channels": 16, "n_heads": 30, "n_kv_heads": 30, "n_layers": 30, "n_refiner_layers": 2,
  "norm_eps": 1e-05, "qk_norm": true, "rope_theta": 256.0, "t_scale": 1000.0})";

TransformerConfig turbo() {
  return TransformerConfig::from_json(Json::parse(kTurboConfig, "config.json"));
}

// The names by which a file for Turbo is known.
ControlNetConfig published(int layers, int channels, const std::vector<std::string>& more) {
  Tensors tensors{{"control_all_x_embedder.2-1.weight",
                   zeros({3840, std::int64_t{4} * channels}, Dtype::kBf16)}};
  for (int i = 0; i < layers; ++i)
    tensors[str("control_layers.", i, ".ffn_norm1.weight")] = zeros({1});
  for (const std::string& name : more) tensors[name] = from_values({1, 1}, {1});
  return ControlNetConfig::from_weights(weight_map("controlnet", tensors), turbo());
}

TEST(ControlNetConfig, IsFoundForThePublishedFiles) {
  const std::string before_proj = "control_noise_refiner.0.before_proj.weight";
  std::vector<int> every_second;
  for (int layer = 0; layer < 30; layer += 2) every_second.push_back(layer);

  const auto v1_0 = published(6, 16, {"control_noise_refiner.0.ffn_norm1.weight"});
  expect_equal(v1_0, {.in_channels = 16,
                      .layer_places = {0, 5, 10, 15, 20, 25},
                      .refiner_places = {},
                      .refiner = Refiner::kPlain});
  const auto v2_0 = published(15, 33, {});
  expect_equal(v2_0, {.in_channels = 33,
                      .layer_places = every_second,
                      .refiner_places = {0, 1},
                      .refiner = Refiner::kControlLayers});
  const auto v2_1 = published(15, 33, {before_proj});
  expect_equal(v2_1, {.in_channels = 33,
                      .layer_places = every_second,
                      .refiner_places = {0, 1},
                      .refiner = Refiner::kOwn});
  const auto lite = published(3, 33, {before_proj});
  expect_equal(lite, {.in_channels = 33,
                      .layer_places = {0, 10, 20},
                      .refiner_places = {0, 1},
                      .refiner = Refiner::kOwn});
}

TEST(ControlNetConfig, NeedsLayersThatSpreadEvenly) {
  for (const int layers : {14, 4, 31, 60}) {
    EXPECT_EQ(error_of([&] { return published(layers, 33, {}); }),
              str("controlnet: ", layers,
                  " control layers, expected a divisor of the transformer's 30 layers or a "
                  "config.json with control_layers_places"));
  }
  EXPECT_EQ(error_of([&] {
              return published(0, 33, {"control_layers.x", "control_layers.1"});
            }),
            "controlnet: no tensors of control_layers, expected at least those of one");
  EXPECT_EQ(error_of([&] { return published(1, 33, {}); }),
            "controlnet: 1 control layers, expected one for each of the 2 hints of the noise "
            "refiner");
}

TEST(ControlNetConfig, NamesAnEmbedderThatDoesNotFit) {
  const Model model("v2_1");
  const std::string name = "control_all_x_embedder.2-1.weight";
  auto tensors = model.tensors();
  for (const Shape& shape : {Shape{24, 37}, Shape{25, 36}, Shape{24}, Shape{24, 0}}) {
    tensors[name] = zeros(shape);
    EXPECT_EQ(error_of([&] { return model.config_of(tensors); }),
              str("controlnet: ", name, " is ", shape,
                  ", expected [24, channels * 4] for this transformer"));
  }
  tensors.erase(name);
  EXPECT_EQ(error_of([&] { return model.config_of(tensors); }),
            str("controlnet: tensor ", name,
                " is missing, expected the weights of a ControlNet for Z-Image"));
}

TEST(ControlNetConfig, NamesBlocksOfAnotherTransformer) {
  const Model model("v2_1"), other("lite");
  EXPECT_THAT(error_of([&] { return model.config_of(other.tensors()); }),
              HasSubstr("control_all_x_embedder.2-1.weight is [20, 28], expected [24, channels"));
  EXPECT_THAT(error_of([&] { return model.load(other.tensors()); }),
              HasSubstr("control_all_x_embedder.2-1.weight is [20, 28], expected [24, 36]"));
}

constexpr std::string_view kUnionConfig = R"({
  "_class_name": "ZImageControlNetModel", "add_control_noise_refiner": "control_noise_refiner",
  "all_f_patch_size": [1], "all_patch_size": [2], "control_in_dim": 33,
  "control_layers_places": [0, 2, 4], "control_refiner_layers_places": [0, 1], "dim": 3840,
  "n_heads": 30, "n_kv_heads": 30, "n_refiner_layers": 2, "norm_eps": 1e-05, "qk_norm": true})";

ControlNetConfig union_config(std::string_view from, std::string_view to) {
  std::string text(kUnionConfig);
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error(str("no ", from));
  text.replace(at, from.size(), to);
  return ControlNetConfig::from_json(Json::parse(text, "config.json"), turbo());
}

std::string error_with(std::string_view from, std::string_view to) {
  return error_of([&] { return union_config(from, to); });
}

TEST(ControlNetConfig, ReadsThePublishedOnes) {
  expect_equal(union_config("", ""), {.in_channels = 33,
                                      .layer_places = {0, 2, 4},
                                      .refiner_places = {0, 1},
                                      .refiner = Refiner::kOwn});
  EXPECT_EQ(union_config("control_noise_refiner\",", "control_layers\",").refiner,
            Refiner::kControlLayers);
  const auto plain = union_config("\"control_noise_refiner\",", "null,");
  EXPECT_EQ(plain.refiner, Refiner::kPlain);
  EXPECT_TRUE(plain.refiner_places.empty());
}

TEST(ControlNetConfig, NamesTheValueItCannotUse) {
  EXPECT_EQ(error_with("control_noise_refiner\",", "refiner\","),
            "config.json: add_control_noise_refiner is \"refiner\", expected null, "
            "\"control_layers\" or \"control_noise_refiner\"");
  EXPECT_EQ(error_with("\"dim\": 3840", "\"dim\": 3841"),
            "config.json: dim is 3841, expected the transformer's 3840");
  EXPECT_EQ(error_with("\"n_heads\": 30", "\"n_heads\": 24"),
            "config.json: n_heads is 24, expected the transformer's 30");
  EXPECT_EQ(error_with("\"n_refiner_layers\": 2", "\"n_refiner_layers\": 3"),
            "config.json: n_refiner_layers is 3, expected the transformer's 2");
  EXPECT_EQ(error_with("1e-05", "1e-06"),
            "config.json: norm_eps is 1e-06, expected the transformer's 1e-05");
  EXPECT_THAT(error_with("true", "false"), HasSubstr("qk_norm"));
  EXPECT_EQ(error_with("33", "0"), "config.json: control_in_dim is 0, expected 1 to 1000000");
  EXPECT_EQ(error_with("[0, 2, 4]", "[0, 2, 30]"),
            "config.json: control_layers_places has 30, expected ascending numbers from 0 to 29");
  EXPECT_EQ(error_with("[0, 2, 4]", "[0, 4, 2]"),
            "config.json: control_layers_places has 2, expected ascending numbers from 0 to 29");
  EXPECT_EQ(error_with("[0, 2, 4]", "[-1, 2, 4]"),
            "config.json: control_layers_places has -1, expected ascending numbers from 0 to 29");
  EXPECT_EQ(error_with("[0, 2, 4]", "[2, 4]"),
            "config.json: control_layers_places begins with 2, expected 0");
  EXPECT_EQ(error_with("[0, 2, 4]", "[]"),
            "config.json: control_layers_places is empty, expected at least 0");
  EXPECT_EQ(
      error_with("[0, 1]", "[0, 2]"),
      "config.json: control_refiner_layers_places has 2, expected ascending numbers from 0 to 1");
  for (const char* key :
       {"control_in_dim", "control_layers_places", "control_refiner_layers_places"}) {
    EXPECT_THAT(error_with(str('"', key, '"'), str("\"no_", key, '"')), HasSubstr(key));
  }
}

}  // namespace
}  // namespace zimage
