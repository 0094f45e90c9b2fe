#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "core/parallel.h"

namespace zimage::bench {

// xorshift64*; the state is not 0.
struct Random {
  std::uint64_t state;

  std::uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
  }
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }  // in (0, 1)
  double normal() {
    return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
  }
  // Student's t with 4 degrees of freedom, scaled to the variance 1: one value in 1000 is beyond 6,
  // of normal ones one in 500 million.
  double heavy_tailed() { return normal() / std::sqrt(-std::log(uniform() * uniform())); }
};

// fill(random, begin, end) for all blocks of [0, n), each with random numbers of its own, so that
// they do not depend on the number of threads.
template <class Fill>
void fill_blocks(std::int64_t n, std::uint64_t seed, const Fill& fill) {
  constexpr std::int64_t kBlock = 1 << 20;
  parallel_blocks(n, kBlock, [&](std::int64_t begin, std::int64_t end) {
    Random random{seed * 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(begin) + 1};
    fill(random, begin, end);
  });
}

// How much larger each of `channels` is than usual: a factor of 1 for all but eight of them, for
// those one from `least` to `most`, even in the logarithm.
std::vector<float> channel_factors(std::int64_t channels, double least, double most,
                                   std::uint64_t seed);

}  // namespace zimage::bench
