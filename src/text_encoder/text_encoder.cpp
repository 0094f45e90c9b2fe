#include "text_encoder/text_encoder.h"

#include <string>

#include "core/check.h"
#include "layers/embedding.h"
#include "layers/layer_list.h"
#include "layers/surplus.h"
#include "text_encoder/decoder_layer.h"
#include "text_encoder/rotary_embedding.h"

namespace zimage {
namespace {

// Qwen3ForCausalLM keeps everything but its head below "model", a bare Qwen3Model does not.
std::string root_of(const WeightMap& map) {
  return map.has("model.embed_tokens.weight") ? "model" : "";
}

// The last layer, what follows it, and frequencies that old checkpoints carry along.
void check_no_surplus_but_tail(const WeightMap& map, const std::string& root, int last_layer) {
  const std::string prefix = root.empty() ? "" : root + ".";
  const std::string last = str(prefix, "layers.", last_layer, ".");
  const std::string norm = prefix + "norm.", rotary = prefix + "rotary_emb.";
  check_no_surplus(map, [&](std::string_view name) {
    return name.starts_with(last) || name.starts_with(norm) || name.starts_with(rotary) ||
           name.starts_with("lm_head.");
  });
}

}  // namespace

struct TextEncoder::Impl {
  Impl(const TextEncoderConfig& config, const WeightMap& map, const WeightScope& weights)
      : config(config),
        embed_tokens(
            (weights / "embed_tokens").table("weight", {config.vocab_size, config.hidden_size})),
        rotary_emb(config.head_dim, config.rope_theta),
        layers(weights / "layers", config.num_hidden_layers - 1,
               [config](const WeightScope& layer) { return DecoderLayer(layer, config); }) {
    check_no_surplus_but_tail(map, root_of(map), config.num_hidden_layers - 1);
  }

  TextEncoderConfig config;
  Embedding embed_tokens;
  RotaryEmbedding rotary_emb;
  LayerList<DecoderLayer> layers;
};

TextEncoder::TextEncoder(const TextEncoderConfig& config, const WeightMap& weights, Dtype compute)
    : impl_(std::make_unique<const Impl>(config, weights,
                                         WeightScope(weights, compute, root_of(weights)))) {}

TextEncoder::~TextEncoder() = default;

Tensor TextEncoder::operator()(std::span<const std::int32_t> ids) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  check(0 < tokens && tokens <= impl_->config.max_position_embeddings, "text encoder: ", tokens,
        " tokens, expected 1 to ", impl_->config.max_position_embeddings);
  const ops::RopeTable rope = impl_->rotary_emb(tokens);

  Tensor x = impl_->embed_tokens(ids);
  for (int i = 0; i < impl_->layers.size(); ++i) x = (*impl_->layers[i])(x, rope);
  return x;
}

}  // namespace zimage
