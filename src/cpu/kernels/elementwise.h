#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// n elements of one dtype, f32 or bf16.
struct ElementwiseKernels {
  void (*silu)(const void* x, void* y, Dtype dtype, std::int64_t n);
  void (*silu_mul)(const void* gate, const void* up, void* y, Dtype dtype, std::int64_t n);
  void (*tanh)(const void* x, void* y, Dtype dtype, std::int64_t n);
  void (*add)(const void* x, const void* y, void* sum, Dtype dtype, std::int64_t n);
  // sum = x + gate * y
  void (*add_gated)(const float* x, const float* y, const float* gate, float* sum, std::int64_t n);
  bool (*all_finite)(const void* x, Dtype dtype, std::int64_t n);
};

ZIMAGE_KERNELS(ElementwiseKernels, elementwise_kernels);

}  // namespace zimage::cpu
