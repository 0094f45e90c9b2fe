#include "layers/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/attention.h"

namespace zimage {
namespace {

Tensor split_heads(const Tensor& x, int heads) {
  return x.reshape({x.dim(0), heads, x.dim(1) / heads});
}

std::vector<ops::AttentionRows> rows_of(const Sequences& sequences, std::int64_t kept) {
  std::vector<ops::AttentionRows> rows;
  for (const std::int64_t length : sequences.lengths) {
    rows.push_back({std::min(kept, length), length});
  }
  return rows;
}

}  // namespace

Attention::Attention(const WeightScope& weights, const AttentionConfig& config,
                     const AttentionKeys& keys)
    : config_(config),
      q_(weights / keys.q, config.dim, config.num_heads * config.head_dim),
      k_(weights / keys.k, config.dim, config.num_kv_heads * config.head_dim),
      v_(weights / keys.v, config.dim, config.num_kv_heads * config.head_dim),
      out_(weights / keys.out, config.num_heads * config.head_dim, config.dim) {
  if (!config.qk_norm) return;
  q_norm_ = (weights / keys.q_norm).vector("weight", {config.head_dim});
  k_norm_ = (weights / keys.k_norm).vector("weight", {config.head_dim});
}

Tensor Attention::operator()(const Tensor& x, const ops::RopeTable& rope) const {
  return (*this)(x, {.lengths = {x.dim(0)}, .rope = rope}, kAllRows);
}

Tensor Attention::operator()(const Tensor& x, const Sequences& sequences, std::int64_t kept) const {
  const auto& [dim, num_heads, num_kv_heads, head_dim, qk_norm, eps, pairs, is_causal] = config_;
  const auto& rope = sequences.rope;
  const ops::RopeTable kept_rope{sequences.leading(rope.cos, kept),
                                 sequences.leading(rope.sin, kept)};
  const Tensor q = ops::rms_norm_rope(split_heads(q_(sequences.leading(x, kept)), num_heads),
                                      q_norm_, eps, kept_rope, pairs);
  const Tensor k = ops::rms_norm_rope(split_heads(k_(x), num_kv_heads), k_norm_, eps, rope, pairs);
  const Tensor v = split_heads(v_(x), num_kv_heads);

  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const Tensor mixed = ops::attention(q, k, v, scale, is_causal, rows_of(sequences, kept));
  return out_(mixed.reshape({q.dim(0), num_heads * head_dim}), Dtype::kF32);
}

}  // namespace zimage
