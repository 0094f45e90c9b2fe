#pragma once

#include <cstdint>

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

// Eight-bit floats as stored by torch. Sources: "FP8 Formats for Deep Learning" (arXiv 2209.05433);
// float8_e4m3fn has no infinities, float8_e5m2 is the upper byte of an IEEE half.
struct Float8Table {
  float values[256];
};

consteval float power_of_two(int exponent) {
  float value = 1;
  for (; exponent > 0; --exponent) value *= 2;
  for (; exponent < 0; ++exponent) value /= 2;
  return value;
}

// sign, then `exponent_bits`, then the mantissa.
consteval Float8Table float8_table(int exponent_bits, bool has_infinity) {
  const int mantissa_bits = 7 - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int top_exponent = (1 << exponent_bits) - 1, top_mantissa = (1 << mantissa_bits) - 1;
  Float8Table table{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code >> mantissa_bits) & top_exponent, mantissa = code & top_mantissa;
    const bool is_top = exponent == top_exponent;
    float value = 0;
    if (is_top && has_infinity) {
      value = mantissa == 0 ? __builtin_inff() : __builtin_nanf("");
    } else if (is_top && mantissa == top_mantissa) {
      value = __builtin_nanf("");
    } else if (exponent == 0) {
      value = static_cast<float>(mantissa) * power_of_two(1 - bias - mantissa_bits);
    } else {
      value = static_cast<float>((1 << mantissa_bits) + mantissa) *
              power_of_two(exponent - bias - mantissa_bits);
    }
    table.values[code] = code < 128 ? value : -value;
  }
  return table;
}

inline constexpr Float8Table kE4M3 = float8_table(4, /*has_infinity=*/false);
inline constexpr Float8Table kE5M2 = float8_table(5, /*has_infinity=*/true);

}  // namespace zimage::cpu::ZIMAGE_ISA
