#pragma once

#include "core/dtype.h"

namespace zimage {

// Whether elements are numbers that ops::cast() takes.
inline bool is_floating(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
    case Dtype::kBf16:
    case Dtype::kF16:
    case Dtype::kF64:
    case Dtype::kF8E4M3:
    case Dtype::kF8E5M2: return true;
    default: return false;
  }
}

}  // namespace zimage
