#pragma once

#include <string_view>

#include "core/check.h"
#include "core/dtype.h"

namespace zimage::ops {

// The types that arithmetic runs on.
inline void check_computable(std::string_view op, std::string_view name, Dtype dtype) {
  check(dtype == Dtype::kF32 || dtype == Dtype::kBf16, op, ": ", name, " is ", dtype,
        ", expected F32 or BF16");
}

}  // namespace zimage::ops
