#include "transformer/transformer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <stdexcept>

#include "seeded_weights.h"
#include "transformer/caption.h"
#include "transformer/patchify.h"
#include "transformer/rope_embedder.h"
#include "transformer/sequence.h"
#include "transformer/timestep_embedder.h"
#include "transformer/transformer_block.h"

namespace zimage {
namespace {

using testing::HasSubstr;

const char* const kModels[] = {"three_heads", "odd_ffn", "wide"};

struct Model : GoldenModel {
  explicit Model(const std::string& name)
      : GoldenModel("transformer", name),
        config(TransformerConfig::from_json(json.object("config"))) {}

  Transformer load(Dtype compute) const {
    return Transformer(config, weight_map("transformer", tensors()), compute);
  }

  // Products of the layers in eight bits, the rest in bf16.
  Transformer load_int8() const {
    WeightMap weights = weight_map("transformer", tensors());
    weights.set_int8({.quantizes = [](const std::string& name) {
      return name.starts_with("layers.") && (name.find(".attention.to_") != name.npos ||
                                             name.find(".feed_forward.w") != name.npos);
    }});
    return Transformer(config, weights, Dtype::kBf16);
  }

  TransformerConfig config;
};

struct Result {
  Tensor refined, output;
};

Result run(const Transformer& transformer, const Json& test_case) {
  const auto& config = transformer.config();
  const int height = test_case.get<int>("height"), width = test_case.get<int>("width");
  const Tensor latents = seeded_uniform("latents", {config.in_channels, height, width}, 0, 2);
  const Tensor prompt =
      seeded_uniform("prompt_embeds", {test_case.get<int>("tokens"), config.cap_feat_dim}, 0, 8);
  const auto caption = transformer.prepare(prompt, height, width);
  return {caption->refined, transformer(latents, test_case.get<float>("t"), *caption)};
}

// f32 on both sides with sums in another order: some units of 6e-8 in each of a few layers.
constexpr double kF32Tolerance = 2e-6;
// torch's exp is off by a unit in some of the 128 frequencies of the time embedding; times a t of
// up to 1000 that moves a few of its 256 angles by up to 6e-5.
constexpr double kTimeTolerance = 1e-5;

TEST(Transformer, MatchesDiffusersInF32) {
  for (const char* name : kModels) {
    const Model model(name);
    const Transformer transformer = model.load(Dtype::kF32);
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", ", title));
      const auto [refined, output] = run(transformer, test_case);
      EXPECT_LE(relative_error(refined, model.golden.at(title + ".refined")), kF32Tolerance);
      EXPECT_LE(relative_error(output, model.golden.at(title + ".output")), kTimeTolerance);
      EXPECT_EQ(output.shape(), model.golden.at(title + ".output").shape());
    }
  }
}

TEST(TimestepEmbedder, MatchesDiffusers) {
  for (const char* name : kModels) {
    const Model model(name);
    const WeightMap weights = weight_map("transformer", model.tensors());
    const TimestepEmbedder embedder(WeightScope(weights, Dtype::kF32) / "t_embedder",
                                    model.config.adaln_dim());
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", ", title));
      const Tensor embedding = embedder(test_case.get<float>("t") * model.config.t_scale);
      EXPECT_LE(relative_error(embedding, model.golden.at(title + ".t_embedding")), kTimeTolerance);
    }
  }
}

// The residual stream is f32, so bf16 errs only inside a branch: one rounding to 8 bits, of rms at
// most 2^-9, of the input and of each product that feeds another one. Attention has four in a row
// (input, q and k, their rotation, heads; v beside them), the feed-forward three (input, gate and
// up, their product): as independent errors sqrt(4) * 2^-9 per branch. Branches add up in the
// stream in quadrature, and each passes on the error of its input about once more: with b branches
// in a row 2 * sqrt(2 * b) * 2^-9, and the embedder and the final layer count as one each.
double bf16_bound(int branches) { return 2 * std::sqrt(2.0 * (branches + 2)) / 512; }

TEST(Transformer, StaysWithinRoundingOfF32InBf16) {
  for (const char* name : kModels) {
    const Model model(name);
    const Transformer transformer = model.load(Dtype::kBf16);
    const int refiner = 2 * model.config.n_refiner_layers, main = 2 * model.config.n_layers;
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", ", title));
      const auto [refined, output] = run(transformer, test_case);
      EXPECT_LE(relative_error(refined, model.golden.at(title + ".refined")), bf16_bound(refiner));
      EXPECT_LE(relative_error(output, model.golden.at(title + ".output")),
                bf16_bound(refiner + main));
    }
  }
}

TEST(Transformer, IsBitIdenticalForAnyNumberOfThreads) {
  const Model model("odd_ffn");
  const Json test_case = model.json.objects("cases")[1];
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const Transformer transformer = model.load(compute);
    std::vector<std::vector<float>> outputs;
    for (const int threads : {1, 2, 3}) {
      const ThreadCount scope(threads);
      outputs.push_back(values_of(run(transformer, test_case).output));
    }
    EXPECT_EQ(outputs[1], outputs[0]) << str(compute);
    EXPECT_EQ(outputs[2], outputs[0]) << str(compute);
  }
}

TEST(Transformer, IsBitIdenticalWhenLayersDoNotStayInMemory) {
  for (const char* name : kModels) {
    const Model model(name);
    const Json test_case = model.json.objects("cases")[0];
    for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
      const Result expected = run(model.load(compute), test_case);
      WeightMap weights = weight_map("transformer", model.tensors());
      weights.keep_layers(0);
      const Transformer transformer(model.config, weights, compute);
      const Result result = run(transformer, test_case);
      EXPECT_EQ(values_of(result.refined), values_of(expected.refined)) << name;
      EXPECT_EQ(values_of(result.output), values_of(expected.output)) << name;
    }
  }
}

// No row of a product depends on the others, and one kernel takes any number of them.
TEST(Transformer, GivesSeveralCaptionsInOnePassWhatEachGetsInItsOwn) {
  for (const char* name : {"three_heads", "odd_ffn"}) {
    const Model model(name);
    const int height = name == std::string_view("odd_ffn") ? 4 : 16, width = 10;  // both padded
    const Tensor latents =
        seeded_uniform("latents", {model.config.in_channels, height, width}, 0, 2);
    for (const char* compute : {"f32", "bf16", "int8"}) {
      const Transformer transformer =
          compute == std::string_view("int8")
              ? model.load_int8()
              : model.load(compute == std::string_view("f32") ? Dtype::kF32 : Dtype::kBf16);
      for (const auto& lengths : std::vector<std::vector<int>>{{7}, {7, 31}, {40, 7}, {1, 64, 7}}) {
        std::vector<std::shared_ptr<const Transformer::Caption>> captions;
        std::vector<const Transformer::Caption*> together;
        for (const int tokens : lengths) {
          const auto prompt =
              seeded_uniform(str("prompt", tokens), {tokens, model.config.cap_feat_dim}, 0, 8);
          captions.push_back(transformer.prepare(prompt, height, width));
          together.push_back(captions.back().get());
        }
        int calls = 0;
        const auto outputs = transformer(latents, 0.3f, together, [&] { ++calls; });
        EXPECT_EQ(calls, model.config.n_refiner_layers + model.config.n_layers);
        ASSERT_EQ(outputs.size(), lengths.size());
        for (std::size_t i = 0; i < captions.size(); ++i) {
          SCOPED_TRACE(str(name, ", ", compute, ", caption ", i, " of ", captions.size()));
          EXPECT_EQ(values_of(outputs[i]), values_of(transformer(latents, 0.3f, *captions[i])));
        }
      }
    }
  }
}

TEST(TransformerBlock, ReturnsTheFirstRowsOfEverySequenceWhenAsked) {
  const Model model("three_heads");
  const WeightMap weights = weight_map("transformer", model.tensors());
  const RopeEmbedder rope(model.config.axes_dims, model.config.rope_theta);
  const std::vector<Position> positions(130, Position{3, 1, 2});
  const Sequences sequences{.lengths = {70, 60}, .rope = rope(positions)};
  const Tensor x = random_normal({130, model.config.dim}, Dtype::kF32, 1);
  const Tensor time = random_normal({1, model.config.adaln_dim()}, Dtype::kF32, 2);
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const TransformerBlock block(WeightScope(weights, compute) / "layers" / "0", model.config);
    const Tensor all = block(x, sequences, time);
    const Tensor first = block(x, sequences, time, 40);
    EXPECT_EQ(values_of(first), values_of(concat(all.slice(0, 40), all.slice(70, 110))));
  }
}

TEST(Transformer, TakesF32FilesAsWell) {
  const Model model("wide");
  auto tensors = model.tensors();
  for (auto& [name, tensor] : tensors) tensor = tensor_of(tensor.shape(), values_of(tensor));
  const Transformer from_f32(model.config, weight_map("transformer", tensors), Dtype::kBf16);
  const Json test_case = model.json.objects("cases")[0];
  EXPECT_EQ(values_of(run(from_f32, test_case).output),
            values_of(run(model.load(Dtype::kBf16), test_case).output));
}

class LoadedTransformer : public testing::Test {
 protected:
  Tensor prompt(int tokens) const { return zeros({tokens, model.config.cap_feat_dim}); }
  Tensor latents(int height, int width) const {
    return zeros({model.config.in_channels, height, width});
  }

  Model model{"three_heads"};
  Transformer transformer = model.load(Dtype::kF32);
};

TEST_F(LoadedTransformer, CallsBackBeforeEveryBlock) {
  const auto caption = transformer.prepare(prompt(1), 2, 4);
  int calls = 0;
  transformer(latents(2, 4), 0.5f, *caption, [&] { ++calls; });
  EXPECT_EQ(calls, model.config.n_refiner_layers + model.config.n_layers);
}

TEST_F(LoadedTransformer, StopsWhenTheCallbackThrows) {
  const auto caption = transformer.prepare(prompt(1), 2, 4);
  const auto cancel = [] { throw std::runtime_error("cancelled"); };
  EXPECT_THROW(transformer(latents(2, 4), 0.5f, *caption, cancel), std::runtime_error);
}

TEST_F(LoadedTransformer, CaptionServesEveryStep) {
  const auto test_case = model.json.objects("cases")[1];
  const auto expected = values_of(run(transformer, test_case).output);
  const int height = test_case.get<int>("height"), width = test_case.get<int>("width");
  const Tensor noise = seeded_uniform("latents", {16, height, width}, 0, 2);
  const auto caption = transformer.prepare(
      seeded_uniform("prompt_embeds", {test_case.get<int>("tokens"), 40}, 0, 8), height, width);
  transformer(noise, 0.9f, *caption);
  EXPECT_EQ(values_of(transformer(noise, test_case.get<float>("t"), *caption)), expected);
}

TEST_F(LoadedTransformer, RejectsLatentsThatTheCaptionWasNotPreparedFor) {
  const auto caption = transformer.prepare(prompt(1), 4, 6);
  EXPECT_EQ(error_of([&] { return transformer(latents(6, 4), 0, *caption); }),
            "transformer: latents are [16, 6, 4] F32, expected [16, 4, 6] F32");
  EXPECT_THAT(error_of([&] {
                return transformer(zeros({16, 4, 6}, Dtype::kBf16), 0, *caption);
              }),
              HasSubstr("[16, 4, 6] BF16, expected"));
}

TEST_F(LoadedTransformer, RejectsCaptionsOfDifferentSizesInOnePass) {
  const auto one = transformer.prepare(prompt(1), 4, 6),
             other = transformer.prepare(prompt(1), 6, 4);
  const std::vector<const Transformer::Caption*> captions{one.get(), other.get()}, none;
  EXPECT_EQ(error_of([&] { return transformer(latents(4, 6), 0, captions); }),
            "transformer: latents are [16, 4, 6] F32, expected [16, 6, 4] F32");
  EXPECT_EQ(error_of([&] { return transformer(latents(4, 6), 0, none); }),
            "transformer: no caption");
}

TEST_F(LoadedTransformer, RejectsTimeThatIsNoNumber) {
  const auto caption = transformer.prepare(prompt(1), 2, 2);
  EXPECT_EQ(error_of([&] { return transformer(latents(2, 2), std::nanf(""), *caption); }),
            "transformer: t is nan, expected a number from 0 to 1");
}

TEST_F(LoadedTransformer, RejectsPromptEmbedsOfAnotherShape) {
  for (const Tensor& bad :
       {zeros({3, 41}), zeros({0, 40}), zeros({40}), zeros({3, 40}, Dtype::kBf16)}) {
    EXPECT_EQ(error_of([&] { return transformer.prepare(bad, 2, 2); }),
              str("transformer: prompt_embeds are ", bad.shape(), " ", bad.dtype(),
                  ", expected [tokens, 40] F32"));
  }
}

TEST_F(LoadedTransformer, RejectsSizesItCannotPatch) {
  for (const auto& [height, width] : {std::pair{3, 4}, {4, 3}, {0, 4}, {4, -2}}) {
    EXPECT_EQ(error_of([&, height = height, width = width] {
                return transformer.prepare(prompt(1), height, width);
              }),
              str("transformer: latents of ", height, " x ", width, ", expected multiples of 2"));
  }
}

TEST_F(LoadedTransformer, NamesTheLargestSizeWhenPositionsRunOut) {
  EXPECT_EQ(error_of([&] { return transformer.prepare(prompt(1), 32, 40); }), "");
  for (const auto& [height, width] : {std::pair{34, 40}, {32, 42}}) {
    EXPECT_EQ(error_of([&, height = height, width = width] {
                return transformer.prepare(prompt(1), height, width);
              }),
              str("transformer: latents of ", height, " x ", width,
                  " exceed the largest size, 32 x 40 (height x width, from axes_lens)"));
  }
}

TEST_F(LoadedTransformer, NamesTheLongestPromptWhenPositionsRunOut) {
  EXPECT_EQ(error_of([&] { return transformer.prepare(prompt(64), 2, 2); }), "");
  EXPECT_EQ(error_of([&] { return transformer.prepare(prompt(65), 2, 2); }),
            "transformer: a prompt of 65 tokens exceeds the longest, 64 (from axes_lens)");
}

TEST(TransformerWeights, AreNamedWhenMissing) {
  const Model model("three_heads");
  const auto all = model.tensors();
  for (const auto& [name, tensor] : all) {
    auto tensors = all;
    tensors.erase(name);
    EXPECT_THAT(error_of([&] {
                  return Transformer(model.config, weight_map("transformer", tensors), Dtype::kF32);
                }),
                HasSubstr(str("transformer: tensor ", name, " ", tensor.shape(), " is missing")));
  }
}

TEST(TransformerWeights, AreNamedWhenOfAnotherShape) {
  const Model model("odd_ffn");
  auto tensors = model.tensors();
  tensors["layers.1.feed_forward.w2.weight"] = zeros({80, 214});
  const auto load = [&] {
    return Transformer(model.config, weight_map("transformer", tensors), Dtype::kF32);
  };
  EXPECT_THAT(error_of(load), HasSubstr("layers.1.feed_forward.w2.weight is [80, 214], "
                                        "expected [80, 213]"));
}

TEST(TransformerWeights, MayNotHoldMoreThanTheModel) {
  const Model model("three_heads");
  auto tensors = model.tensors();
  tensors["siglip_pad_token"] = zeros({1, 96});
  const auto load = [&] {
    return Transformer(model.config, weight_map("transformer", tensors), Dtype::kF32);
  };
  EXPECT_EQ(error_of(load),
            "transformer: 1 tensor that this model does not have: siglip_pad_token");
  for (const char* name : {"layers.2.a", "layers.2.b", "layers.2.c"}) tensors[name] = zeros({1});
  EXPECT_EQ(error_of(load),
            "transformer: 4 tensors that this model does not have: layers.2.a, layers.2.b, "
            "layers.2.c, ...");
}

TEST(TransformerWeights, MayHoldTheFinalNormThatNobodyUses) {
  const Model model("three_heads");
  auto tensors = model.tensors();
  tensors["norm_final.weight"] = zeros({96});
  EXPECT_EQ(error_of([&] {
              return Transformer(model.config, weight_map("transformer", tensors), Dtype::kF32);
            }),
            "");
}

constexpr std::string_view kTurboConfig = R"({
  "_class_name": "ZImageTransformer2DModel", "all_f_patch_size": [1], "all_patch_size": [2],
  "axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "cap_feat_dim": 2560, "dim": 3840,
  "in_channels": 16, "n_heads": 30, "n_kv_heads": 30, "n_layers": 30, "n_refiner_layers": 2,
  "norm_eps": 1e-05, "qk_norm": true, "rope_theta": 256.0, "t_scale": 1000.0})";

// The Turbo configuration with one piece of text exchanged for another.
std::string error_with(std::string_view from, std::string_view to) {
  std::string text(kTurboConfig);
  const auto at = text.find(from);
  if (at == std::string::npos) return str("no ", from, " in the configuration");
  text.replace(at, from.size(), to);
  return error_of([&] { return TransformerConfig::from_json(Json::parse(text, "config.json")); });
}

TEST(TransformerConfig, ReadsThePublishedOne) {
  const auto config = TransformerConfig::from_json(Json::parse(kTurboConfig, "config.json"));
  EXPECT_EQ(config.head_dim(), 128);
  EXPECT_EQ(config.ffn_dim(), 10240);
  EXPECT_EQ(config.adaln_dim(), 256);
  EXPECT_EQ(config.axes_lens, (std::array{1536, 512, 512}));
  EXPECT_FLOAT_EQ(config.norm_eps, 1e-5f);
}

TEST(TransformerConfig, NamesTheValueItCannotUse) {
  EXPECT_EQ(error_with("\"n_kv_heads\": 30", "\"n_kv_heads\": 10"),
            "config.json: n_kv_heads is 10, expected n_heads = 30");
  EXPECT_EQ(error_with("\"n_heads\": 30", "\"n_heads\": 31"),
            "config.json: dim 3840 is not a multiple of n_heads 31");
  EXPECT_EQ(error_with("[32, 48, 48]", "[32, 48, 46]"),
            "config.json: axes_dims sum to 126, expected dim / n_heads = 128");
  EXPECT_EQ(error_with("[32, 48, 48]", "[33, 47, 48]"),
            "config.json: axes_dims has 33, expected even numbers above 0");
  EXPECT_EQ(error_with("[32, 48, 48]", "[0, 80, 48]"),
            "config.json: axes_dims has 0, expected even numbers above 0");
  EXPECT_EQ(error_with("[32, 48, 48]", "[2147483646, 2147483646, 132]"),
            "config.json: axes_dims has 2147483646, expected even numbers above 0");
  EXPECT_EQ(error_with("[1536, 512", "[1536, 0"),
            "config.json: axes_lens has 0, expected 1 to 1000000");
  EXPECT_EQ(error_with("\"all_patch_size\": [2]", "\"all_patch_size\": [2, 4]"),
            "config.json: all_patch_size is not supported, expected [2]");
  EXPECT_EQ(error_with("\"all_f_patch_size\": [1]", "\"all_f_patch_size\": [2]"),
            "config.json: all_f_patch_size is not supported, expected [1]");
  EXPECT_EQ(error_with("\"dim\"", "\"siglip_feat_dim\": 1152, \"dim\""),
            "config.json: siglip_feat_dim is set: image-conditioned (omni) checkpoints are not "
            "supported");
  EXPECT_EQ(error_with("\"dim\"", "\"siglip_feat_dim\": null, \"dim\""), "");
  EXPECT_EQ(error_with("\"n_layers\": 30", "\"n_layers\": 1001"),
            "config.json: n_layers is 1001, expected 1 to 1000");
  EXPECT_EQ(error_with("\"n_layers\": 30", "\"n_layers\": 0"),
            "config.json: n_layers is 0, expected 1 to 1000");
  EXPECT_EQ(error_with("3840", "-3840"), "config.json: dim is -3840, expected 1 to 1000000");
  EXPECT_EQ(error_with("256.0", "-256.0"),
            "config.json: rope_theta is -256, expected a number above 0");
  EXPECT_EQ(error_with("1e-05", "0"), "config.json: norm_eps is 0, expected a number above 0");
}

TEST(TransformerConfig, NamesEveryKeyThatIsMissing) {
  for (const char* key :
       {"axes_dims", "axes_lens", "cap_feat_dim", "dim", "in_channels", "n_heads", "n_kv_heads",
        "n_layers", "n_refiner_layers", "norm_eps", "qk_norm", "rope_theta", "t_scale"}) {
    EXPECT_THAT(error_with(str('"', key, '"'), str("\"no_", key, '"')), HasSubstr(key));
  }
}

TEST(Patchify, OrdersFeaturesByRowColumnChannel) {
  const Tensor latents = from_values({2, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7,  //
                                                 10, 11, 12, 13, 14, 15, 16, 17});
  const Tensor tokens = patchify(latents, 2, Dtype::kF32);
  EXPECT_EQ(tokens.shape(), (Shape{2, 8}));
  EXPECT_EQ(values_of(tokens),
            (std::vector<float>{0, 10, 1, 11, 4, 14, 5, 15, 2, 12, 3, 13, 6, 16, 7, 17}));
}

TEST(Patchify, IsUndoneByUnpatchify) {
  const Tensor latents = random_normal({5, 6, 10}, Dtype::kF32, /*seed=*/1);
  EXPECT_EQ(values_of(unpatchify(patchify(latents, 2, Dtype::kF32), 2, 6, 10)), values_of(latents));
}

TEST(Sequence, NumbersCaptionFirstAndPutsImagePaddingAtTheOrigin) {
  const auto caption = positions_of_caption(33);
  EXPECT_EQ(caption.size(), 64u);
  EXPECT_EQ(caption.front(), (Position{1, 0, 0}));
  EXPECT_EQ(caption.back(), (Position{64, 0, 0}));

  const auto image = positions_of_image(/*frame=*/65, /*rows=*/3, /*columns=*/5);
  EXPECT_EQ(image.size(), 32u);
  EXPECT_EQ(image[7], (Position{65, 1, 2}));
  EXPECT_EQ(image[14], (Position{65, 2, 4}));
  EXPECT_EQ(image[15], (Position{0, 0, 0}));
  EXPECT_EQ(image[31], (Position{0, 0, 0}));
}

TEST(RopeEmbedder, TurnsEachShareOfTheChannelsByItsAxis) {
  const RopeEmbedder rope({4, 2, 6}, /*theta=*/256);
  const std::vector<Position> positions{{0, 0, 0}, {600, 7, 511}};
  const auto [cos, sin] = rope(positions);
  ASSERT_EQ(cos.shape(), (Shape{2, 6}));
  const double angles[] = {
      600, 600 / 16.0, 7, 511, 511 / std::pow(256, 1 / 3.0), 511 / std::pow(256, 2 / 3.0)};
  for (int pair = 0; pair < 6; ++pair) {
    EXPECT_EQ(cos.data<float>()[pair], 1);
    EXPECT_EQ(sin.data<float>()[pair], 0);
    // angles are kept in f32: half a unit in the last place of 600
    EXPECT_NEAR(cos.data<float>()[6 + pair], std::cos(angles[pair]), 3.1e-5);
    EXPECT_NEAR(sin.data<float>()[6 + pair], std::sin(angles[pair]), 3.1e-5);
  }
}

}  // namespace
}  // namespace zimage
