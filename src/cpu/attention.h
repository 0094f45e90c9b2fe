#pragma once

#include "core/tensor.h"
#include "cpu/bf16_speed.h"

namespace zimage::cpu {

// ops/attention.h on the CPU: arguments checked, y allocated by the caller, nothing empty. `path`
// counts for bf16 only.
void attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, bool is_causal,
               Tensor& y, Bf16Path path);

inline void attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                      bool is_causal, Tensor& y) {
  attention(q, k, v, scale, is_causal, y, bf16_path());
}

}  // namespace zimage::cpu
