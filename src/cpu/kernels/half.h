#pragma once

#include <cstdint>

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

// The IEEE half at p, which is aligned to nothing.
inline float half_at(const std::uint8_t* p) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
#if defined(__AVX2__)
  return _cvtsh_ss(bits);
#else
  // As if the fields were a float's, 112 exponents too low; subnormals come out right as well.
  const std::uint32_t magnitude = (bits & 0x7fffu) << 13, sign = (bits & 0x8000u) << 16;
  const std::uint32_t scaled = bits_as<std::uint32_t>(bits_as<float>(magnitude) * 0x1p112f);
  return bits_as<float>((magnitude < 0x0f800000u ? scaled : magnitude | 0x7f800000u) | sign);
#endif
}

}  // namespace zimage::cpu::ZIMAGE_ISA
