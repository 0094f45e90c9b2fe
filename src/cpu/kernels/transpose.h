#pragma once

#include <utility>

#include "cpu/kernels/words.h"

namespace zimage::cpu::ZIMAGE_ISA {

// Swaps the bit `kStep` of lane and register number between two registers that differ in it.
template <int kStep, std::size_t... kLane>
inline void swap_bit(U32x& a, U32x& b, std::index_sequence<kLane...>) {
  const U32x low =
      __builtin_shufflevector(a, b, ((kLane & kStep) != 0 ? kLanes + kLane - kStep : kLane)...);
  b = __builtin_shufflevector(a, b, ((kLane & kStep) != 0 ? kLanes + kLane : kLane + kStep)...);
  a = low;
}

template <int kStep = 1>
inline void transpose(U32x (&rows)[kLanes]) {
  if constexpr (kStep < kLanes) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & kStep) == 0) {
        swap_bit<kStep>(rows[i], rows[i | kStep], std::make_index_sequence<kLanes>());
      }
    }
    transpose<2 * kStep>(rows);
  }
}

}  // namespace zimage::cpu::ZIMAGE_ISA
