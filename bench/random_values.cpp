#include "random_values.h"

namespace zimage::bench {

std::vector<float> channel_factors(std::int64_t channels, double least, double most,
                                   std::uint64_t seed) {
  constexpr int kLarge = 8;
  std::vector<float> factors(static_cast<std::size_t>(channels), 1.0f);
  Random random{seed * 0x9e3779b97f4a7c15ull + 1};
  for (int i = 0; i < kLarge; ++i) {
    const auto channel = static_cast<std::size_t>(random.uniform() * static_cast<double>(channels));
    factors[channel] = static_cast<float>(least * std::pow(most / least, random.uniform()));
  }
  return factors;
}

}  // namespace zimage::bench
