#include "cpu/linear.h"

#include "cpu/weighted_sum.h"

namespace zimage::cpu {
void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path) {
  const WeightedSum sum(weight, bias, y, path);
  const auto size = static_cast<std::int64_t>(size_of(x.dtype()));
  sum.run(kLinearStripRows,
          [&](std::int64_t row, std::int64_t channel, std::int64_t n, std::uint32_t* words) {
            sum.to_words(x.raw() + (row * sum.in + channel) * size, n, words);
          });
}

}  // namespace zimage::cpu
