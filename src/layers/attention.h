#pragma once

#include <string_view>

#include "layers/linear.h"
#include "layers/sequences.h"
#include "ops/rope.h"

namespace zimage {

struct AttentionConfig {
  int dim, num_heads, num_kv_heads, head_dim;
  bool qk_norm;    // RMSNorm of every query and key head
  float norm_eps;  // of that norm
  ops::RopePairs rope_pairs;
  bool is_causal = false;
};

// Where a checkpoint keeps the parts of an attention.
struct AttentionKeys {
  std::string_view q, k, v, out, q_norm, k_norm;
};

// Self-attention with rotary positions; query heads share key heads when there are fewer of these.
class Attention {
 public:
  Attention(const WeightScope& weights, const AttentionConfig& config, const AttentionKeys& keys);

  // x: [tokens, dim] of the compute dtype; rope: one row per token. Returns [tokens, dim] f32.
  Tensor operator()(const Tensor& x, const ops::RopeTable& rope) const;

  // x: [rows of all sequences, dim] of the compute dtype. Returns the first `kept` rows of every
  // sequence, [rows, dim] f32.
  Tensor operator()(const Tensor& x, const Sequences& sequences, std::int64_t kept) const;

 private:
  AttentionConfig config_;
  Linear q_, k_, v_, out_;
  Tensor q_norm_, k_norm_;  // [head_dim], undefined without qk_norm
};

}  // namespace zimage
