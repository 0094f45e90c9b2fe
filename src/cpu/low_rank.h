#pragma once

#include "core/tensor.h"

namespace zimage::cpu {

// ops/low_rank.h on the CPU.
void low_rank_row(const Tensor& down, const Tensor& up, std::int64_t row, std::int64_t channel,
                  std::int64_t n, float* values);

}  // namespace zimage::cpu
