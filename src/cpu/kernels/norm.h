#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// x and y are [rows, dim], f32 or bf16 each.
struct RowNormArgs {
  const void* x;
  Dtype x_dtype;
  void* y;
  Dtype y_dtype;
  std::int64_t dim;
  float eps;
  const float* weight;  // [dim] or null
  const float* scale;   // [dim] or null
};

struct NormKernels {
  void (*rms_norm)(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end);
  void (*layer_norm)(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end);
};

ZIMAGE_KERNELS(NormKernels, norm_kernels);

}  // namespace zimage::cpu
