#pragma once

#include "layers/attention.h"
#include "layers/feed_forward.h"
#include "layers/norm.h"
#include "text_encoder/text_encoder.h"

namespace zimage {

// One layer of Qwen3.
class DecoderLayer {
 public:
  DecoderLayer(const WeightScope& weights, const TextEncoderConfig& config);

  // x: [tokens, hidden_size] f32. Returns the same.
  Tensor operator()(const Tensor& x, const ops::RopeTable& rope) const;

 private:
  RmsNorm input_layernorm_, post_attention_layernorm_;
  Attention self_attn_;
  FeedForward mlp_;
};

}  // namespace zimage
