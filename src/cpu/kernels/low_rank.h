#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// values[i] += the sum of up[r] * down[r * stride + i] over r, for n channels.
struct LowRankRow {
  const void* down;  // BF16 or F32
  Dtype dtype;       // of down
  std::int64_t stride;
  const float* up;
  std::int64_t rank, n;
  float* values;
};

struct LowRankKernels {
  void (*add)(const LowRankRow& row);
};

ZIMAGE_KERNELS(LowRankKernels, low_rank_kernels);

}  // namespace zimage::cpu
