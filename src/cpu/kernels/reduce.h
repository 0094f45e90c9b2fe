#pragma once

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

// sum((x - shift)^2). Four sums, because a single chain would wait out the latency of every FMA.
template <class X>
float sum_of_squares(const X* x, float shift, std::int64_t dim) {
  const F32x s = broadcast(shift);
  F32x sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) {
      const F32x v = load(x + i + k * kLanes) - s;
      sums[k] = mul_add(v, v, sums[k]);
    }
  }
  F32x total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i + kLanes <= dim; i += kLanes) {
    const F32x v = load(x + i) - s;
    total = mul_add(v, v, total);
  }
  if (i < dim) {
    const int n = static_cast<int>(dim - i);
    F32x v = load_up_to(x + i, n) - s;
    for (int k = n; k < kLanes; ++k) v[k] = 0;  // -shift past the row
    total = mul_add(v, v, total);
  }
  return sum(total);
}

template <class X>
float sum_of(const X* x, std::int64_t dim) {
  F32x sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) sums[k] += load(x + i + k * kLanes);
  }
  F32x total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for_lanes(dim - i, [&](std::int64_t j, auto n) { total += load_up_to(x + i + j, n); });
  return sum(total);
}

// 1 / sqrt(mean(x^2) + eps)
template <class X>
float inverse_rms(const X* x, std::int64_t dim, float eps) {
  return 1 / __builtin_sqrtf(sum_of_squares(x, 0, dim) / static_cast<float>(dim) + eps);
}

}  // namespace zimage::cpu::ZIMAGE_ISA
