#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/json.h"
#include "layers/weights.h"

namespace zimage {

// text_encoder/config.json (Qwen3ForCausalLM or Qwen3Model).
struct TextEncoderConfig {
  int hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
  int intermediate_size, vocab_size, max_position_embeddings;
  float rope_theta, rms_norm_eps;

  // Throws Error naming the key whose value is missing, out of range or not supported.
  static TextEncoderConfig from_json(const Json& json);
};

// Qwen3 up to hidden_states[-2]: every layer but the last, no final norm.
class TextEncoder {
 public:
  // Weights named "model.layers.0..." or, as in Qwen3Model files, "layers.0...". The last layer,
  // the final norm and the head may be absent and are never read. Throws Error naming a tensor that
  // is missing, of another shape or not part of the model.
  TextEncoder(const TextEncoderConfig& config, const WeightMap& weights, Dtype compute);
  ~TextEncoder();

  // ids: one prompt without padding. Returns [tokens, hidden_size] f32. Throws Error for none or
  // too many ids and for one outside the vocabulary.
  Tensor operator()(std::span<const std::int32_t> ids) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace zimage
