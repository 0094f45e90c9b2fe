#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace zimage::ops {

// Row `row` of up * down, channels [channel, channel + n), with sums in f32, into `values`.
// down: [rank, in], up: [out, rank]; bf16 or f32. What the channels are does not depend on n. For
// pieces of rows, by several threads at the same time: nothing is checked.
void low_rank_row(const Tensor& down, const Tensor& up, std::int64_t row, std::int64_t channel,
                  std::int64_t n, float* values);

}  // namespace zimage::ops
