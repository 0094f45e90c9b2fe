#include "ops/low_rank.h"

#include <cassert>

#include "cpu/low_rank.h"

namespace zimage::ops {

void low_rank_row(const Tensor& down, const Tensor& up, std::int64_t row, std::int64_t channel,
                  std::int64_t n, float* values) {
  assert(up.dim(1) == down.dim(0) && row < up.dim(0) && channel + n <= down.dim(1));
  cpu::low_rank_row(down, up, row, channel, n, values);
}

}  // namespace zimage::ops
