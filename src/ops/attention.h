#pragma once

#include <span>

#include "core/tensor.h"

namespace zimage::ops {

// softmax(q * k^T * scale) * v for every head, softmax in f32; never holds queries x keys at once.
// q: [queries, heads, d], k and v: [keys, kv_heads, d], all bf16 or all f32; heads is a multiple of
// kv_heads, head h reads kv head h / (heads / kv_heads). With is_causal query i sees keys 0..i
// (queries == keys). Returns [queries, heads, d] of the same dtype.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                 bool is_causal = false);

// A sequence's share of the rows of q, and of those of k and v.
struct AttentionRows {
  std::int64_t queries, keys;
};

// The same for sequences that lie below each other in q, k and v: each attends to itself alone.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
                 std::span<const AttentionRows> sequences);

}  // namespace zimage::ops
