// Two ways of the same work, timed in turn, so that what slows the machine down hits both.
#pragma once

#include <cstdint>
#include <functional>

#include "core/tensor.h"

namespace zimage::bench {

struct Pair {
  double first, second;  // seconds of the fastest runs
};
Pair fastest_of(const std::function<void()>& first, const std::function<void()>& second);

// Normal numbers, f32; the same for any number of threads.
Tensor normal(const Shape& shape, std::uint64_t seed);

}  // namespace zimage::bench
