#include "cpu/low_rank.h"

#include <algorithm>

#include "cpu/kernels/cast.h"
#include "cpu/kernels/low_rank.h"

namespace zimage::cpu {

void low_rank_row(const Tensor& down, const Tensor& up, std::int64_t row, std::int64_t channel,
                  std::int64_t n, float* values) {
  constexpr std::int64_t kPart = 64;
  float factors[kPart];
  const std::int64_t rank = down.dim(0), in = down.dim(1);
  const auto down_size = static_cast<std::int64_t>(size_of(down.dtype()));
  const auto up_size = static_cast<std::int64_t>(size_of(up.dtype()));
  std::fill_n(values, n, 0.0f);
  for (std::int64_t r = 0; r < rank; r += kPart) {
    const std::int64_t part = std::min(kPart, rank - r);
    cast_kernels().cast(up.raw() + (row * rank + r) * up_size, up.dtype(), factors, Dtype::kF32,
                        part);
    low_rank_kernels().add({.down = down.raw() + (r * in + channel) * down_size,
                            .dtype = down.dtype(),
                            .stride = in,
                            .up = factors,
                            .rank = part,
                            .n = n,
                            .values = values});
  }
}

}  // namespace zimage::cpu
