#include "pairs.h"

#include <algorithm>
#include <chrono>

#include "random_values.h"

namespace zimage::bench {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Pair fastest_of(const std::function<void()>& first, const std::function<void()>& second) {
  constexpr int kRuns = 5;
  first();
  second();
  Pair pair{1e30, 1e30};
  for (int i = 0; i < kRuns; ++i) {
    pair.first = std::min(pair.first, seconds_of(first));
    pair.second = std::min(pair.second, seconds_of(second));
  }
  return pair;
}

Tensor normal(const Shape& shape, std::uint64_t seed) {
  Tensor x = empty(shape);
  fill_blocks(x.numel(), seed, [&](Random& random, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      x.data<float>()[i] = static_cast<float>(random.normal());
    }
  });
  return x;
}

}  // namespace zimage::bench
