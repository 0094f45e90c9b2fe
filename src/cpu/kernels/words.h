// Words of 32 bits, as matrix products take them (kernels/product.h).
#pragma once

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

inline U32x load_words(const std::uint32_t* p) {
  U32x v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

inline void store_words(U32x v, std::uint32_t* p) { __builtin_memcpy(p, &v, sizeof(v)); }

inline U32x broadcast_word(std::uint32_t word) { return word - U32x{}; }

}  // namespace zimage::cpu::ZIMAGE_ISA
