#pragma once

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

// body(const float*) or body(const bf16*): where a run-time dtype becomes a type.
template <class Body>
inline void visit(const void* x, Dtype dtype, Body&& body) {
  if (dtype == Dtype::kF32) {
    body(static_cast<const float*>(x));
  } else {
    body(static_cast<const bf16*>(x));
  }
}

template <class Body>
inline void visit(void* y, Dtype dtype, Body&& body) {
  if (dtype == Dtype::kF32) {
    body(static_cast<float*>(y));
  } else {
    body(static_cast<bf16*>(y));
  }
}

}  // namespace zimage::cpu::ZIMAGE_ISA
