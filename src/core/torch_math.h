#pragma once

namespace zimage {

// The f32 functions behind torch's vectorised normal distribution: the Cephes polynomials of
// ATen/native/cpu/avx_mathfun.h, with each multiply-add fused where torch's compiler fuses it.
// They differ from libm in the last bit; torch's random numbers need exactly these.

float torch_log(float x);  // x > 0, normal

struct SinCos {
  float sin, cos;
};
SinCos torch_sincos(float x);  // 0 <= x <= 8192

}  // namespace zimage
