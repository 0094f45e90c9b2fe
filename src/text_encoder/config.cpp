#include "layers/config.h"

#include "core/check.h"
#include "text_encoder/text_encoder.h"

namespace zimage {
namespace {

constexpr int kMaxPositions = 1 << 24;

// Anything but plain rotary positions (YaRN, NTK, linear scaling, ...) changes every result.
void check_default_rope(const Json& rope) {
  for (const char* key : {"rope_type", "type"}) {
    const auto type = rope.get_or<std::string>(key, "default");
    check(type == "default", rope.where(), ": ", key, " is ", type, ", expected default");
  }
}

// transformers 4 writes rope_theta and rope_scaling, transformers 5 rope_parameters.
float rope_theta_of(const Json& json) {
  if (json.has("rope_scaling")) check_default_rope(json.object("rope_scaling"));
  if (!json.has("rope_parameters")) return get_positive(json, "rope_theta");
  const Json rope = json.object("rope_parameters");
  check_default_rope(rope);
  const float theta = get_positive(rope, "rope_theta");
  check(theta == json.get_or("rope_theta", theta), json.where(),
        ": rope_theta and rope_parameters.rope_theta differ");
  return theta;
}

void check_plain_qwen3(const Json& json) {
  const auto model = json.get_or<std::string>("model_type", "qwen3");
  check(model == "qwen3", json.where(), ": model_type is ", model, ", expected qwen3");
  const auto act = json.get_or<std::string>("hidden_act", "silu");
  check(act == "silu", json.where(), ": hidden_act is ", act, ", expected silu");
  for (const char* key : {"attention_bias", "use_sliding_window"}) {
    check(!json.get_or(key, false), json.where(), ": ", key, " is true, expected false");
  }
  for (const auto& type : json.get_or("layer_types", std::vector<std::string>{})) {
    check(type == "full_attention", json.where(), ": layer_types has ", type,
          ", expected full_attention only");
  }
}

}  // namespace

TextEncoderConfig TextEncoderConfig::from_json(const Json& json) {
  check_plain_qwen3(json);
  const int hidden_size = get_size(json, "hidden_size");
  const int num_heads = get_size(json, "num_attention_heads");
  const TextEncoderConfig config{
      .hidden_size = hidden_size,
      .num_hidden_layers = get_size(json, "num_hidden_layers", 1, kMaxLayers),
      .num_attention_heads = num_heads,
      .num_key_value_heads = get_size(json, "num_key_value_heads"),
      .head_dim = json.has("head_dim") ? get_size(json, "head_dim") : hidden_size / num_heads,
      .intermediate_size = get_size(json, "intermediate_size"),
      .vocab_size = get_size(json, "vocab_size"),
      .max_position_embeddings = get_size(json, "max_position_embeddings", 1, kMaxPositions),
      .rope_theta = rope_theta_of(json),
      .rms_norm_eps = get_positive(json, "rms_norm_eps"),
  };
  check(num_heads % config.num_key_value_heads == 0, json.where(), ": num_attention_heads ",
        num_heads, " is not a multiple of num_key_value_heads ", config.num_key_value_heads);
  check(config.head_dim > 0 && config.head_dim % 2 == 0, json.where(), ": head_dim is ",
        config.head_dim, ", expected an even number above 0");
  check(std::int64_t{num_heads} * config.head_dim <= kMaxSize, json.where(),
        ": num_attention_heads x head_dim is ", std::int64_t{num_heads} * config.head_dim,
        ", expected at most ", kMaxSize);
  return config;
}

}  // namespace zimage
