#include "transformer/transformer_block.h"

namespace zimage {
namespace {

constexpr float kQkNormEps = 1e-5f;  // fixed in diffusers, whatever norm_eps says

constexpr AttentionKeys kAttentionKeys{.q = "to_q",
                                       .k = "to_k",
                                       .v = "to_v",
                                       .out = "to_out.0",
                                       .q_norm = "norm_q",
                                       .k_norm = "norm_k"};

AttentionConfig attention_config(const TransformerConfig& config) {
  return {.dim = config.dim,
          .num_heads = config.n_heads,
          .num_kv_heads = config.n_kv_heads,
          .head_dim = config.head_dim(),
          .qk_norm = config.qk_norm,
          .norm_eps = kQkNormEps,
          .rope_pairs = ops::RopePairs::kInterleaved};
}

FeedForward load_feed_forward(const WeightScope& weights, int dim, int hidden_dim) {
  return {Linear(weights / "w1", dim, hidden_dim), Linear(weights / "w3", dim, hidden_dim),
          Linear(weights / "w2", hidden_dim, dim)};
}

}  // namespace

BlockLayers::BlockLayers(const WeightScope& weights, const TransformerConfig& config)
    : attention(weights / "attention", attention_config(config), kAttentionKeys),
      feed_forward(load_feed_forward(weights / "feed_forward", config.dim, config.ffn_dim())),
      attention_norm1(weights / "attention_norm1", config.dim, config.norm_eps, weights.compute()),
      ffn_norm1(weights / "ffn_norm1", config.dim, config.norm_eps, weights.compute()),
      attention_norm2(weights / "attention_norm2", config.dim, config.norm_eps, Dtype::kF32),
      ffn_norm2(weights / "ffn_norm2", config.dim, config.norm_eps, Dtype::kF32) {}

Tensor ContextBlock::operator()(const Tensor& x, const ops::RopeTable& rope) const {
  const auto& b = layers_;
  const Tensor h = ops::add(x, b.attention_norm2(b.attention(b.attention_norm1(x), rope)));
  return ops::add(h, b.ffn_norm2(b.feed_forward(b.ffn_norm1(h))));
}

TransformerBlock::TransformerBlock(const WeightScope& weights, const TransformerConfig& config)
    : layers_(weights, config),
      modulation_(weights / "adaLN_modulation", config.adaln_dim(), config.dim) {}

Tensor TransformerBlock::operator()(const Tensor& x, const Sequences& sequences,
                                    const Tensor& adaln_input, std::int64_t kept) const {
  const auto [scale_msa, gate_msa, scale_mlp, gate_mlp] = modulation_(adaln_input);
  const auto& b = layers_;
  const Tensor attn = b.attention(b.attention_norm1(x, scale_msa), sequences, kept);
  const Tensor h = ops::add_gated(sequences.leading(x, kept), b.attention_norm2(attn), gate_msa);

  const Tensor ffn = b.feed_forward(b.ffn_norm1(h, scale_mlp));
  return ops::add_gated(h, b.ffn_norm2(ffn), gate_mlp);
}

}  // namespace zimage
