#pragma once

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {

inline F32x polynomial(F32x, float constant) { return broadcast(constant); }

// c0 + c1 x + c2 x^2 + ...
template <class... Rest>
inline F32x polynomial(F32x x, float c0, Rest... rest) {
  return mul_add(polynomial(x, rest...), x, broadcast(c0));
}

// 2^n for integral n in [-126, 127].
inline F32x power_of_two(I32x n) { return bits_as<F32x>((n + 127) << 23); }

// e^x within 1.01 units in the last place; subnormal, 0 and infinity where they belong. With
// x = n ln2 + r, |r| <= ln2 / 2, it is 2^n e^r; the polynomial is minimax, 3e-9 relative.
inline F32x exp(F32x x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // ten bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves the integer in the low bits

  x = min(broadcast(89), max(broadcast(-104), x));  // NaN passes both
  const F32x shifted = mul_add(x, broadcast(kLog2E), broadcast(kRound));
  const F32x n = shifted - kRound;
  const I32x exponent = bits_as<I32x>(shifted) - bits_as<I32x>(broadcast(kRound));

  F32x r = mul_add(n, broadcast(-kLn2High), x);
  r = mul_add(n, broadcast(-kLn2Low), r);
  const F32x tail =
      polynomial(r, 0.499999940f, 0.166665211f, 0.0416683890f, 0.00836874545f, 0.00138145406f);
  const F32x y = mul_add(r * r, tail, r) + 1.0f;
  // In two factors, because 2^n alone leaves the range of normal numbers before e^x does.
  const I32x half = exponent >> 1;
  return y * power_of_two(half) * power_of_two(exponent - half);
}

// x / (1 + e^-x). As in torch, -infinity gives NaN.
inline F32x silu(F32x x) { return x / (1.0f + exp(-x)); }

// Within 1.4 units in the last place.
inline F32x tanh(F32x x) {
  const U32x sign = bits_as<U32x>(x) & 0x80000000u;
  const F32x a = bits_as<F32x>(bits_as<U32x>(x) ^ sign);
  const F32x large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  // Near zero the difference above would cancel. Minimax, 5e-9 relative.
  const F32x z = a * a;
  const F32x small = mul_add(
      a * z,
      polynomial(z, -0.333332807f, 0.133314416f, -0.0537397154f, 0.0206390861f, -0.00570498593f),
      a);
  const F32x magnitude = a < 0.625f ? small : large;
  return bits_as<F32x>(bits_as<U32x>(magnitude) | sign);
}

}  // namespace zimage::cpu::ZIMAGE_ISA
