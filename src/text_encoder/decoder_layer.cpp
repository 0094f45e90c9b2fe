#include "text_encoder/decoder_layer.h"

namespace zimage {
namespace {

constexpr AttentionKeys kAttentionKeys{.q = "q_proj",
                                       .k = "k_proj",
                                       .v = "v_proj",
                                       .out = "o_proj",
                                       .q_norm = "q_norm",
                                       .k_norm = "k_norm"};

AttentionConfig attention_config(const TextEncoderConfig& config) {
  return {.dim = config.hidden_size,
          .num_heads = config.num_attention_heads,
          .num_kv_heads = config.num_key_value_heads,
          .head_dim = config.head_dim,
          .qk_norm = true,
          .norm_eps = config.rms_norm_eps,
          .rope_pairs = ops::RopePairs::kHalves,
          .is_causal = true};
}

FeedForward load_mlp(const WeightScope& weights, int dim, int hidden_dim) {
  return {Linear(weights / "gate_proj", dim, hidden_dim),
          Linear(weights / "up_proj", dim, hidden_dim),
          Linear(weights / "down_proj", hidden_dim, dim)};
}

}  // namespace

DecoderLayer::DecoderLayer(const WeightScope& weights, const TextEncoderConfig& config)
    : input_layernorm_(weights / "input_layernorm", config.hidden_size, config.rms_norm_eps,
                       weights.compute()),
      post_attention_layernorm_(weights / "post_attention_layernorm", config.hidden_size,
                                config.rms_norm_eps, weights.compute()),
      self_attn_(weights / "self_attn", attention_config(config), kAttentionKeys),
      mlp_(load_mlp(weights / "mlp", config.hidden_size, config.intermediate_size)) {}

Tensor DecoderLayer::operator()(const Tensor& x, const ops::RopeTable& rope) const {
  const Tensor h = ops::add(x, self_attn_(input_layernorm_(x), rope));
  return ops::add(h, mlp_(post_attention_layernorm_(h)));
}

}  // namespace zimage
