#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// x, y: [pixels, channels], f32 or bf16.
struct GroupNormKernels {
  // Sums over the pixels for every channel, in f64: sum[c] of x, square_sum[c] of x^2.
  void (*channel_sums)(const void* x, Dtype dtype, std::int64_t pixels, std::int64_t channels,
                       double* sum, double* square_sum);
  // y = x * factor + shift for every channel, then SiLU if asked.
  void (*scale_shift)(const void* x, Dtype dtype, std::int64_t pixels, std::int64_t channels,
                      const float* factor, const float* shift, bool with_silu, void* y);
};

ZIMAGE_KERNELS(GroupNormKernels, group_norm_kernels);

}  // namespace zimage::cpu
