// Two ways of the same work, timed in turn, so that what slows the machine down hits both.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "core/tensor.h"

namespace zimage::bench {

// [in, out] of the products of a transformer block of the published size: q, k, v and out; w1 and
// w3; w2.
struct ProductSize {
  std::int64_t in, out;
};
inline constexpr std::array<ProductSize, 3> kBlockProducts{
    {{3840, 3840}, {3840, 10240}, {10240, 3840}}};

struct Pair {
  double first, second;  // seconds of the fastest runs
};
Pair fastest_of(const std::function<void()>& first, const std::function<void()>& second);

// Normal numbers, f32; the same for any number of threads.
Tensor normal(const Shape& shape, std::uint64_t seed);

}  // namespace zimage::bench
