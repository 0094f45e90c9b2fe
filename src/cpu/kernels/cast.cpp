#include "cpu/kernels/cast.h"

#include "cpu/kernels/float8.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// Storage types, to overload load() by. Here so that they have no code of their own.
struct Half {
  std::uint16_t bits;
};
struct Double {
  double value;
};
struct E4M3 {
  std::uint8_t code;
};
struct E5M2 {
  std::uint8_t code;
};

F32x load(const Half* p) {
  U16x v;
  __builtin_memcpy(&v, p, sizeof(v));
#if defined(__AVX512F__)
  return _mm512_maskz_cvtph_ps(0xffff, bits_as<__m256i>(v));
#elif defined(__AVX2__)
  return _mm256_cvtph_ps(bits_as<__m128i>(v));
#else
  // As if the fields were a float's, 112 exponents too low; subnormals come out right as well.
  const U32x u = widen(v);
  const U32x magnitude = (u & 0x7fffu) << 13;
  const U32x scaled = bits_as<U32x>(bits_as<F32x>(magnitude) * 0x1p112f);
  const U32x special = magnitude | 0x7f800000u;  // infinity and NaN
  return bits_as<F32x>((magnitude < 0x0f800000u ? scaled : special) | (u & 0x8000u) << 16);
#endif
}

F32x load(const Double* p) {
  F32x v;
  for (int i = 0; i < kLanes; ++i) v[i] = static_cast<float>(p[i].value);
  return v;
}

F32x load(const E4M3* p) {
  F32x v;
  for (int i = 0; i < kLanes; ++i) v[i] = kE4M3.values[p[i].code];
  return v;
}

F32x load(const E5M2* p) {
  F32x v;
  for (int i = 0; i < kLanes; ++i) v[i] = kE5M2.values[p[i].code];
  return v;
}

template <class X>
void cast_from(const X* x, void* y, Dtype to, std::int64_t n) {
  visit(y, to, [&](auto* out) {
    for_lanes(n, [&](std::int64_t i, auto lanes) {
      store_up_to(load_up_to(x + i, lanes), out + i, lanes);
    });
  });
}

void cast(const void* x, Dtype from, void* y, Dtype to, std::int64_t n) {
  switch (from) {
    case Dtype::kF32: cast_from(static_cast<const float*>(x), y, to, n); break;
    case Dtype::kBf16: cast_from(static_cast<const bf16*>(x), y, to, n); break;
    case Dtype::kF16: cast_from(static_cast<const Half*>(x), y, to, n); break;
    case Dtype::kF64: cast_from(static_cast<const Double*>(x), y, to, n); break;
    case Dtype::kF8E4M3: cast_from(static_cast<const E4M3*>(x), y, to, n); break;
    case Dtype::kF8E5M2: cast_from(static_cast<const E5M2*>(x), y, to, n); break;
    default: __builtin_unreachable();
  }
}

}  // namespace

const CastKernels cast_kernels = {.cast = cast};

}  // namespace zimage::cpu::ZIMAGE_ISA
