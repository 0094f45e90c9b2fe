#include "text_encoder/text_encoder.h"

#include <gmock/gmock.h>

#include <cmath>

#include "seeded_weights.h"

namespace zimage {
namespace {

using testing::HasSubstr;

const char* const kModels[] = {"grouped", "plain"};

struct Model : GoldenModel {
  explicit Model(const std::string& name)
      : GoldenModel("text_encoder", name),
        config(TextEncoderConfig::from_json(json.object("config"))) {}

  TextEncoder load(Dtype compute) const { return load(tensors(), compute); }
  TextEncoder load(const std::map<std::string, Tensor>& tensors, Dtype compute) const {
    return TextEncoder(config, weight_map("text_encoder", tensors), compute);
  }

  TextEncoderConfig config;
};

std::vector<std::int32_t> ids_of(const Json& test_case) {
  return test_case.get<std::vector<int>>("ids");
}

TEST(TextEncoder, MatchesTransformersInF32) {
  for (const char* name : kModels) {
    const Model model(name);
    const TextEncoder encoder = model.load(Dtype::kF32);
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", tokens: ", title));
      const Tensor states = encoder(ids_of(test_case));
      const Tensor& expected = model.golden.at(title + ".output");
      EXPECT_EQ(states.shape(), expected.shape());
      // f32 on both sides with sums in another order: some units of 6e-8 in each layer
      EXPECT_LE(relative_error(states, expected), 1e-6);
    }
  }
}

// As for the transformer: per branch four roundings in a row of rms at most 2^-9 each, branches add
// up in quadrature and pass on the error of their input about once more.
TEST(TextEncoder, StaysWithinRoundingOfF32InBf16) {
  for (const char* name : kModels) {
    const Model model(name);
    const TextEncoder encoder = model.load(Dtype::kBf16);
    const int branches = 2 * (model.config.num_hidden_layers - 1);
    for (const Json& test_case : model.json.objects("cases")) {
      const auto title = test_case.get<std::string>("name");
      SCOPED_TRACE(str(name, ", tokens: ", title));
      EXPECT_LE(relative_error(encoder(ids_of(test_case)), model.golden.at(title + ".output")),
                2 * std::sqrt(2.0 * branches) / 512);
    }
  }
}

TEST(TextEncoder, IsBitIdenticalForAnyNumberOfThreads) {
  const Model model("grouped");
  const auto ids = ids_of(model.json.objects("cases").back());
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    const TextEncoder encoder = model.load(compute);
    std::vector<std::vector<float>> outputs;
    for (const int threads : {1, 2, 3}) {
      const ThreadCount scope(threads);
      outputs.push_back(values_of(encoder(ids)));
    }
    EXPECT_EQ(outputs[1], outputs[0]) << str(compute);
    EXPECT_EQ(outputs[2], outputs[0]) << str(compute);
  }
}

TEST(TextEncoder, IsBitIdenticalWhenLayersDoNotStayInMemory) {
  const Model model("grouped");
  const auto ids = ids_of(model.json.objects("cases").back());
  for (const Dtype compute : {Dtype::kF32, Dtype::kBf16}) {
    WeightMap weights = weight_map("text_encoder", model.tensors());
    weights.keep_layers(0);
    const TextEncoder encoder(model.config, weights, compute);
    EXPECT_EQ(values_of(encoder(ids)), values_of(model.load(compute)(ids))) << str(compute);
  }
}

bool is_tail(const std::string& name) {
  return name.starts_with("model.layers.3.") || name.starts_with("model.norm.");
}

TEST(TextEncoder, DoesWithoutTheLastLayerAndTheHead) {
  const Model model("grouped");
  auto tensors = model.tensors();
  std::erase_if(tensors, [](const auto& entry) { return is_tail(entry.first); });
  const auto ids = ids_of(model.json.objects("cases")[1]);
  EXPECT_EQ(values_of(model.load(tensors, Dtype::kF32)(ids)),
            values_of(model.load(Dtype::kF32)(ids)));
}

TEST(TextEncoder, NeverTakesTheLastLayerAndTheHead) {
  const Model model("grouped");
  auto tensors = model.tensors();
  tensors["lm_head.weight"] = zeros({1, 2, 3});
  tensors["model.rotary_emb.inv_freq"] = zeros({8});
  const WeightMap weights = weight_map("text_encoder", tensors);
  const TextEncoder encoder(model.config, weights, Dtype::kF32);
  std::vector<std::string> expected{"lm_head.weight"};
  for (const auto& [name, tensor] : tensors) {
    if (is_tail(name)) expected.push_back(name);
  }
  expected.push_back("model.rotary_emb.inv_freq");
  EXPECT_EQ(weights.untaken(), expected);
}

TEST(TextEncoder, ReadsMappedFiles) {
  const Model model("plain");
  const TempDir dir;
  save_safetensors(dir / "model.safetensors", model.tensors());
  WeightMap weights("text_encoder");
  weights.add_file(dir / "model.safetensors");
  const auto ids = ids_of(model.json.objects("cases")[2]);
  EXPECT_EQ(values_of(TextEncoder(model.config, weights, Dtype::kBf16)(ids)),
            values_of(model.load(Dtype::kBf16)(ids)));
}

TEST(TextEncoder, GathersEmbeddingsFromAnyFloatTable) {
  const Model model("plain");
  const Shape shape{model.config.vocab_size, model.config.hidden_size};
  // Multiples of 1/8 below 2 are the same in every format.
  Tensor table = empty(shape), half = empty(shape, Dtype::kF16);
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const auto eighths = static_cast<int>(i % 16);
    table.data<float>()[i] = static_cast<float>(eighths) / 8;
    // 1 + m / 8 has the exponent of 1; below 1 the bits of n / 8 follow from its leading one
    int exponent = 12, mantissa = eighths;
    while (mantissa != 0 && mantissa < 8) mantissa *= 2, --exponent;
    const int bits = eighths == 0 ? 0 : ((exponent + 3) << 10) | ((mantissa - 8) << 7);
    reinterpret_cast<std::uint16_t*>(half.raw())[i] = static_cast<std::uint16_t>(bits);
  }
  const auto states = [&](const Tensor& embeddings) {
    auto tensors = model.tensors();
    tensors["embed_tokens.weight"] = embeddings;
    return values_of(model.load(tensors, Dtype::kF32)(std::vector<std::int32_t>{3, 1, 49}));
  };
  EXPECT_EQ(states(as_bf16(table)), states(table));
  EXPECT_EQ(states(half), states(table));
}

TEST(TextEncoder, RejectsIdsOutsideTheVocabulary) {
  const TextEncoder encoder = Model("plain").load(Dtype::kF32);
  for (const std::int32_t id : {50, -1, 2147483647}) {
    EXPECT_EQ(error_of([&] {
                return encoder(std::vector<std::int32_t>{0, id});
              }),
              str("text encoder: token 1 has id ", id, ", expected 0 to 49"));
  }
}

TEST(TextEncoder, RejectsPromptsOfAnotherLength) {
  const TextEncoder encoder = Model("grouped").load(Dtype::kF32);
  EXPECT_EQ(error_of([&] { return encoder({}); }), "text encoder: 0 tokens, expected 1 to 40");
  EXPECT_EQ(error_of([&] { return encoder(std::vector<std::int32_t>(41)); }),
            "text encoder: 41 tokens, expected 1 to 40");
}

TEST(TextEncoderWeights, AreNamedWhenMissing) {
  const Model model("grouped");
  const auto all = model.tensors();
  for (const auto& [name, tensor] : all) {
    if (is_tail(name)) continue;
    auto tensors = all;
    tensors.erase(name);
    // Without embeddings there is no telling the prefix.
    const auto key = name == "model.embed_tokens.weight" ? "embed_tokens.weight" : name;
    EXPECT_THAT(error_of([&] { return model.load(tensors, Dtype::kF32); }),
                HasSubstr(str("text_encoder: tensor ", key, " ", tensor.shape(), " is missing")));
  }
}

TEST(TextEncoderWeights, MustBeFloatingPoint) {
  const Model model("plain");
  auto tensors = model.tensors();
  tensors["embed_tokens.weight"] = zeros({50, 60}, Dtype::kI32);
  EXPECT_EQ(error_of([&] { return model.load(tensors, Dtype::kF32); }),
            "text_encoder: tensor embed_tokens.weight is I32, expected floating-point numbers");
}

TEST(TextEncoderWeights, MayNotHoldMoreThanTheModel) {
  const Model model("grouped");
  auto tensors = model.tensors();
  tensors["model.layers.0.self_attn.q_proj.bias"] = zeros({96});
  tensors["model.layers.4.mlp.up_proj.weight"] = zeros({101, 48});
  EXPECT_EQ(error_of([&] { return model.load(tensors, Dtype::kF32); }),
            "text_encoder: 2 tensors that this model does not have: "
            "model.layers.0.self_attn.q_proj.bias, model.layers.4.mlp.up_proj.weight");
}

constexpr std::string_view kQwenConfig = R"({
  "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128,
  "hidden_act": "silu", "hidden_size": 2560, "intermediate_size": 9728,
  "max_position_embeddings": 40960, "model_type": "qwen3", "num_attention_heads": 32,
  "num_hidden_layers": 36, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
  "use_sliding_window": false, "vocab_size": 151936})";

// The Qwen3-4B configuration with one piece of text exchanged for another.
TextEncoderConfig config_with(std::string_view from, std::string_view to) {
  std::string text(kQwenConfig);
  const auto at = text.find(from);
  check(at != std::string::npos, "no ", from, " in the configuration");
  text.replace(at, from.size(), to);
  return TextEncoderConfig::from_json(Json::parse(text, "config.json"));
}

std::string error_with(std::string_view from, std::string_view to) {
  return error_of([&] { return config_with(from, to); });
}

TEST(TextEncoderConfig, ReadsThePublishedOne) {
  const auto config = TextEncoderConfig::from_json(Json::parse(kQwenConfig, "config.json"));
  EXPECT_EQ(config.hidden_size, 2560);
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rope_theta, 1e6f);
}

TEST(TextEncoderConfig, ReadsTheStyleOfTransformers5) {
  const auto config =
      config_with("\"rope_scaling\": null, \"rope_theta\": 1000000",
                  R"("rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"},
         "layer_types": ["full_attention", "full_attention"])");
  EXPECT_EQ(config.rope_theta, 5000.0f);
}

TEST(TextEncoderConfig, DerivesTheHeadDimWhenThereIsNone) {
  EXPECT_EQ(config_with("\"head_dim\": 128,", "").head_dim, 80);
}

TEST(TextEncoderConfig, NamesWhatWouldChangeResults) {
  EXPECT_EQ(error_with("\"rope_scaling\": null", R"("rope_scaling": {"rope_type": "yarn"})"),
            "config.json key rope_scaling: rope_type is yarn, expected default");
  EXPECT_EQ(error_with("\"rope_scaling\": null", R"("rope_scaling": {"type": "linear"})"),
            "config.json key rope_scaling: type is linear, expected default");
  EXPECT_EQ(error_with("\"rope_scaling\": null",
                       R"("rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn"})"),
            "config.json key rope_parameters: rope_type is yarn, expected default");
  EXPECT_EQ(error_with("\"rope_scaling\": null", R"("rope_parameters": {"rope_theta": 1e4})"),
            "config.json: rope_theta and rope_parameters.rope_theta differ");
  EXPECT_EQ(error_with("\"attention_bias\": false", "\"attention_bias\": true"),
            "config.json: attention_bias is true, expected false");
  EXPECT_EQ(error_with("\"use_sliding_window\": false", "\"use_sliding_window\": true"),
            "config.json: use_sliding_window is true, expected false");
  EXPECT_EQ(
      error_with("\"vocab_size\"", "\"layer_types\": [\"sliding_attention\"], \"vocab_size\""),
      "config.json: layer_types has sliding_attention, expected full_attention only");
  EXPECT_EQ(error_with("silu", "gelu"), "config.json: hidden_act is gelu, expected silu");
  EXPECT_EQ(error_with("\"qwen3\"", "\"qwen2\""),
            "config.json: model_type is qwen2, expected qwen3");
}

TEST(TextEncoderConfig, NamesValuesOutOfRange) {
  EXPECT_EQ(error_with("2560", "0"), "config.json: hidden_size is 0, expected 1 to 1000000");
  EXPECT_EQ(error_with("\"num_hidden_layers\": 36", "\"num_hidden_layers\": 1001"),
            "config.json: num_hidden_layers is 1001, expected 1 to 1000");
  EXPECT_EQ(error_with("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7"),
            "config.json: num_attention_heads 32 is not a multiple of num_key_value_heads 7");
  EXPECT_EQ(error_with("\"head_dim\": 128", "\"head_dim\": 127"),
            "config.json: head_dim is 127, expected an even number above 0");
  EXPECT_EQ(error_with("\"head_dim\": 128", "\"head_dim\": 1000000"),
            "config.json: num_attention_heads x head_dim is 32000000, expected at most 1000000");
  EXPECT_EQ(error_with("\"rope_theta\": 1000000", "\"rope_theta\": 0"),
            "config.json: rope_theta is 0, expected a number above 0");
  EXPECT_THAT(error_with("\"rope_theta\"", "\"rope\""), HasSubstr("rope_theta"));
  EXPECT_THAT(error_with("\"vocab_size\"", "\"vocab\""), HasSubstr("vocab_size"));
}

}  // namespace
}  // namespace zimage
