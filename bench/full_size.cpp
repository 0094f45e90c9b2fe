#include "full_size.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "random_values.h"
#include "text_encoder/text_encoder.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTransformer = R"({
  "_class_name": "ZImageTransformer2DModel", "all_f_patch_size": [1], "all_patch_size": [2],
  "axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "cap_feat_dim": 2560, "dim": 3840,
  "in_channels": 16, "n_heads": 30, "n_kv_heads": 30, "n_layers": 30, "n_refiner_layers": 2,
  "norm_eps": 1e-05, "qk_norm": true, "rope_theta": 256.0, "t_scale": 1000.0
})";
constexpr std::string_view kTextEncoder = R"({
  "architectures": ["Qwen3ForCausalLM"], "head_dim": 128, "hidden_act": "silu",
  "hidden_size": 2560, "intermediate_size": 9728, "max_position_embeddings": 40960,
  "model_type": "qwen3", "num_attention_heads": 32, "num_hidden_layers": 36,
  "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "vocab_size": 151936
})";
constexpr std::string_view kVae = R"({
  "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [128, 256, 512, 512],
  "in_channels": 3, "latent_channels": 16, "layers_per_block": 2, "mid_block_add_attention": true,
  "norm_num_groups": 32, "out_channels": 3, "scaling_factor": 0.3611, "shift_factor": 0.1159,
  "use_post_quant_conv": false, "use_quant_conv": false
})";
constexpr std::string_view kScheduler = R"({
  "_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0,
  "use_dynamic_shifting": false
})";
constexpr std::string_view kIndex = R"({
  "_class_name": "ZImagePipeline",
  "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
  "text_encoder": ["transformers", "Qwen3Model"],
  "tokenizer": ["transformers", "Qwen2Tokenizer"],
  "transformer": ["diffusers", "ZImageTransformer2DModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

using Asked = std::vector<std::pair<std::string, Shape>>;

// What a component asks of its weights, by letting it ask.
template <class... Components, class Config>
Asked asked_by(const Config& config) {
  WeightSurvey survey;
  WeightMap nothing("nothing");
  nothing.begin_survey(survey);
  ((void)Components(config, nothing, Dtype::kBf16), ...);
  return survey.asked;
}

// Norms are 1 and biases 0; other values are uniform with the variance 1 / inputs, so that
// activations keep their size through all layers.
void fill(std::string_view name, const Shape& shape, std::uint64_t seed, std::span<bf16> values) {
  if (shape.rank() == 1) {
    std::fill(values.begin(), values.end(), bf16(name.ends_with("weight") ? 1.0f : 0.0f));
    return;
  }
  const double inputs = static_cast<double>(shape.numel()) / static_cast<double>(shape[0]);
  const float spread = static_cast<float>(std::sqrt(3 / inputs)) * 0x1p-31f;
  fill_blocks(static_cast<std::int64_t>(values.size()), seed,
              [&](Random& random, std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) {
                  const auto bits = static_cast<std::int32_t>(random.next() >> 32);
                  values[static_cast<std::size_t>(i)] = bf16(static_cast<float>(bits) * spread);
                }
              });
}

bool is_norm_before(std::string_view name) {
  return name.ends_with("attention_norm1.weight") || name.ends_with("ffn_norm1.weight");
}

bool has_outliers(std::string_view name) {
  return is_norm_before(name) || name.find(".attention.to_") != name.npos ||
         name.find(".feed_forward.w") != name.npos;
}

// Of every row; the same in w1 and w3 of a feed-forward part.
std::vector<float> row_factors(std::string_view name, const Shape& shape) {
  constexpr std::string_view kFeedForward = ".feed_forward.w";
  const std::size_t part = name.find(kFeedForward);
  if (part == name.npos || name[part + kFeedForward.size()] == '2') {
    return std::vector<float>(static_cast<std::size_t>(shape[0]), 1.0f);
  }
  return channel_factors(shape[0], 3, 10, std::hash<std::string_view>{}(name.substr(0, part)));
}

void fill_with_outliers(std::string_view name, const Shape& shape, std::uint64_t seed,
                        std::span<bf16> values) {
  const std::vector<float> factors = channel_factors(shape[-1], 10, 30, seed);
  if (shape.rank() == 1) {
    std::transform(factors.begin(), factors.end(), values.begin(), [](float f) { return bf16(f); });
    return;
  }
  const std::vector<float> rows = row_factors(name, shape);
  const double spread = 1 / std::sqrt(static_cast<double>(shape[1]));
  fill_blocks(shape.numel(), seed, [&](Random& random, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float factor = rows[static_cast<std::size_t>(i / shape[1])] *
                           factors[static_cast<std::size_t>(i % shape[1])];
      values[static_cast<std::size_t>(i)] =
          bf16(factor * static_cast<float>(spread * random.heavy_tailed()));
    }
  });
}

void write_text(const fs::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

void write_weights(const fs::path& path, const Asked& tensors, bool with_outliers) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, shape] : tensors) entries.push_back({name, Dtype::kBf16, shape});
  SafetensorsWriter file(path, std::move(entries));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, shape] = tensors[i];
    Tensor tensor = empty(shape, Dtype::kBf16);
    const std::span values(tensor.data<bf16>(), static_cast<std::size_t>(shape.numel()));
    if (with_outliers && has_outliers(name)) {
      fill_with_outliers(name, shape, i, values);
    } else {
      fill(name, shape, i, values);
    }
    file.write(tensor);
  }
  file.commit();
}

struct Component {
  std::string name, config, file;
  Asked tensors;
};

// The last norm, too: the program does not use it, but it is published and others ask for it.
Asked text_encoder_tensors(const TextEncoderConfig& config) {
  Asked tensors = asked_by<TextEncoder>(config);
  tensors.emplace_back("norm.weight", Shape{config.hidden_size});
  return tensors;
}

// The published configuration with another number of layers.
std::string with_layers(std::string_view config, const char* key, int layers) {
  auto json = nlohmann::ordered_json::parse(config);
  if (layers > 0) json[key] = layers;
  return json.dump(2);
}

std::vector<Component> components_of(int layers) {
  const auto parsed = [](const std::string& text) { return Json::parse(text, "published"); };
  const std::string vae(kVae), encoder = with_layers(kTextEncoder, "num_hidden_layers", layers),
                               transformer = with_layers(kTransformer, "n_layers", layers);
  return {{"vae", vae, "diffusion_pytorch_model.safetensors",
           asked_by<VaeDecoder, VaeEncoder>(VaeConfig::from_json(parsed(vae)))},
          {"text_encoder", encoder, "model.safetensors",
           text_encoder_tensors(TextEncoderConfig::from_json(parsed(encoder)))},
          {"transformer", transformer, "diffusion_pytorch_model.safetensors",
           asked_by<Transformer>(TransformerConfig::from_json(parsed(transformer)))}};
}

void check_space(const fs::path& folder, const std::vector<Component>& components) {
  std::uintmax_t needed = std::uintmax_t{1} << 30;
  for (const Component& component : components) {
    for (const auto& [name, shape] : component.tensors) {
      needed += 2 * static_cast<std::uintmax_t>(shape.numel());
    }
  }
  const auto space = fs::space(folder).available;
  check(space >= needed, folder.string(), ": ", space >> 30, " GiB free, expected ", needed >> 30,
        " GiB");
}

}  // namespace

void make_full_size_model(const fs::path& folder, const fs::path& tokenizer_from,
                          const FullSize& options) {
  check(!fs::exists(folder), folder.string(), " exists; expected a new folder");
  fs::create_directories(folder);
  const auto components = components_of(options.layers);
  check_space(folder, components);
  fs::copy(tokenizer_from / "tokenizer", folder / "tokenizer");
  write_text(folder / "model_index.json", kIndex);
  for (const auto& [name, config, file, tensors] : components) {
    fs::create_directory(folder / name);
    write_text(folder / name / "config.json", config);
    write_weights(folder / name / file, tensors, options.has_outliers && name == "transformer");
  }
  fs::create_directory(folder / "scheduler");
  write_text(folder / "scheduler/scheduler_config.json", kScheduler);
}

}  // namespace zimage::bench
