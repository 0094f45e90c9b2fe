#include "core/torch_math.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace zimage {

// log(2^exponent * m) = exponent * log(2) + log(m), m in [sqrt(1/2), sqrt(2)); log(2) is split in
// two so that its large part times the exponent is exact.
float torch_log(float x) {
  constexpr float kLog2High = 0.693359375f, kLog2Low = -2.12194440e-4f;
  constexpr float kCoefficients[] = {-1.1514610310e-1f, 1.1676998740e-1f,  -1.2420140846e-1f,
                                     1.4249322787e-1f,  -1.6668057665e-1f, 2.0000714765e-1f,
                                     -2.4999993993e-1f, 3.3333331174e-1f};
  const auto bits = std::bit_cast<std::uint32_t>(x);
  float exponent = static_cast<float>(static_cast<int>(bits >> 23) - 126);
  float m = std::bit_cast<float>((bits & 0x007fffffu) | 0x3f000000u);  // [1/2, 1)
  if (m < 0.707106781186547524f) {
    exponent -= 1.0f;
    m = (m - 1.0f) + m;
  } else {
    m -= 1.0f;
  }
  const float square = m * m;
  float p = 7.0376836292e-2f;
  for (const float c : kCoefficients) p = std::fma(p, m, c);
  p = std::fma(p * m, square, exponent * kLog2Low);
  p = std::fma(-0.5f, square, p);
  return std::fma(exponent, kLog2High, m + p);
}

// Reduces x by the nearest even multiple of pi/4 (pi/4 in three parts) to [-pi/4, pi/4].
SinCos torch_sincos(float x) {
  const int octant = (static_cast<int>(x * 1.27323954473516f) + 1) & ~1;
  const auto turns = static_cast<float>(octant);
  x = std::fma(turns, -0.78515625f, x);
  x = std::fma(turns, -2.4187564849853515625e-4f, x);
  x = std::fma(turns, -3.77489497744594108e-8f, x);
  const float square = x * x;

  float even = std::fma(2.443315711809948e-5f, square, -1.388731625493765e-3f);
  even = std::fma(even, square, 4.166664568298827e-2f);
  even = std::fma(even * square, square, -0.5f * square) + 1.0f;

  float odd = std::fma(-1.9515295891e-4f, square, 8.3321608736e-3f);
  odd = std::fma(odd, square, -1.6666654611e-1f);
  odd = std::fma(odd * square, x, x);

  switch (octant & 7) {
    case 0: return {odd, even};
    case 2: return {even, -odd};
    case 4: return {-odd, -even};
    default: return {-even, odd};
  }
}

}  // namespace zimage
