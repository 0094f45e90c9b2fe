#pragma once

#include "layers/attention.h"
#include "layers/feed_forward.h"
#include "layers/norm.h"
#include "transformer/modulation.h"
#include "transformer/transformer.h"

namespace zimage {

// What both kinds of block consist of; names as in the checkpoint.
struct BlockLayers {
  BlockLayers(const WeightScope& weights, const TransformerConfig& config);

  Attention attention;
  FeedForward feed_forward;
  RmsNorm attention_norm1, ffn_norm1;  // of what goes in, in the compute dtype
  RmsNorm attention_norm2, ffn_norm2;  // of what comes out, f32
};

// Block of the context refiner, which does not know the time.
class ContextBlock {
 public:
  ContextBlock(const WeightScope& weights, const TransformerConfig& config)
      : layers_(weights, config) {}

  // x: [tokens, dim] f32. Returns the same.
  Tensor operator()(const Tensor& x, const ops::RopeTable& rope) const;

 private:
  BlockLayers layers_;
};

// Block of the noise refiner and the main stack, modulated by the time.
class TransformerBlock {
 public:
  TransformerBlock(const WeightScope& weights, const TransformerConfig& config);

  // x: [rows of all sequences, dim] f32; adaln_input: [1, adaln_dim] f32. Returns the first `kept`
  // rows of every sequence, [rows, dim] f32.
  Tensor operator()(const Tensor& x, const Sequences& sequences, const Tensor& adaln_input,
                    std::int64_t kept = kAllRows) const;

 private:
  BlockLayers layers_;
  Modulation modulation_;
};

}  // namespace zimage
