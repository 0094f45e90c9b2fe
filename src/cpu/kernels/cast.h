#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

struct CastKernels {
  // `from`: F32, BF16, F16, F64, F8_E4M3 or F8_E5M2; `to`: F32 or BF16.
  void (*cast)(const void* x, Dtype from, void* y, Dtype to, std::int64_t n);
};

ZIMAGE_KERNELS(CastKernels, cast_kernels);

}  // namespace zimage::cpu
