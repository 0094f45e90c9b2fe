// F32x: as many floats as a register of the instruction set holds, with + - * / and comparisons.
//
// This header, like all of kernels/, is compiled with flags the machine may not support. An inline
// function shared with other files (std::max, bf16's constructor) would be emitted with those
// flags, and the linker may keep that copy for the whole program. Hence the rule for kernels/:
// every function lives in namespace ZIMAGE_ISA, and nothing inline of std or core is called.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "core/dtype.h"

namespace zimage::cpu::ZIMAGE_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float F32x __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t I32x __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t U32x __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t U16x __attribute__((vector_size(2 * kLanes)));
typedef double F64x __attribute__((vector_size(4 * kLanes)));  // half as many

inline F32x broadcast(float value) { return value - F32x{}; }

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

// Between 16 and 32 bits. Intrinsics, because g++ 12 goes through halves for
// __builtin_convertvector; the masked forms, because its plain ones warn of an uninitialised
// variable.
inline U32x widen(U16x v) {
#if defined(__AVX512F__)
  return bits_as<U32x>(_mm512_maskz_cvtepu16_epi32(0xffff, bits_as<__m256i>(v)));
#elif defined(__AVX2__)
  return bits_as<U32x>(_mm256_cvtepu16_epi32(bits_as<__m128i>(v)));
#else
  return __builtin_convertvector(v, U32x);
#endif
}

// Keeps the lower half of every lane.
inline U16x narrow(U32x v) {
#if defined(__AVX512F__)
  return bits_as<U16x>(_mm512_maskz_cvtepi32_epi16(0xffff, bits_as<__m512i>(v)));
#else
  return __builtin_convertvector(v, U16x);
#endif
}

// Loads and stores need no alignment.
inline F32x load(const float* p) {
  F32x v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

inline F32x load(const bf16* p) {
  U16x v;
  __builtin_memcpy(&v, p, sizeof(v));
  return bits_as<F32x>(widen(v) << 16);
}

inline void store(F32x v, float* p) { __builtin_memcpy(p, &v, sizeof(v)); }

// Nearest, ties to even; NaN stays NaN. Not by vcvtneps2bf16, which flushes subnormals to zero.
inline U32x rounded_bf16_bits(F32x v) {
  const U32x u = bits_as<U32x>(v);
  const U32x rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return v == v ? rounded : (u >> 16) | 0x40u;
}

inline void store(F32x v, bf16* p) {
  const U16x bits = narrow(rounded_bf16_bits(v));
  __builtin_memcpy(static_cast<void*>(p), &bits, sizeof(bits));
}

// The number of lanes to load or store: kFull, or an int below kLanes at the end of a row.
struct Full {
  constexpr operator int() const { return kLanes; }
};
inline constexpr Full kFull;

template <class T>
inline F32x load_up_to(const T* p, Full) {
  return load(p);
}

// The first n < kLanes lanes; zero in the others.
template <class T>
inline F32x load_up_to(const T* p, int n) {
  alignas(64) unsigned char row[kLanes * sizeof(T)] = {};
  __builtin_memcpy(row, p, n * sizeof(T));
  return load(reinterpret_cast<const T*>(row));
}

template <class T>
inline void store_up_to(F32x v, T* p, Full) {
  store(v, p);
}

template <class T>
inline void store_up_to(F32x v, T* p, int n) {
  alignas(64) unsigned char row[kLanes * sizeof(T)];
  store(v, reinterpret_cast<T*>(row));
  __builtin_memcpy(static_cast<void*>(p), row, n * sizeof(T));
}

// body(i, n) for the registers of a row: n is kFull, and an int for the rest of the row, if any.
// A generic lambda (`auto n`) thus gets a main loop without masks and a tail.
template <class Body>
inline void for_lanes(std::int64_t dim, Body&& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) body(i, kFull);
  if (i < dim) body(i, static_cast<int>(dim - i));
}

// a * b + c, rounded once where the machine has FMA.
inline F32x mul_add(F32x a, F32x b, F32x c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

// The second where a is NaN, as maxps.
inline F32x max(F32x a, F32x b) { return a > b ? a : b; }
inline F32x min(F32x a, F32x b) { return a < b ? a : b; }

typedef float F32x4 __attribute__((vector_size(16)));

#if defined(__AVX2__)
typedef float F32x8 __attribute__((vector_size(32)));
inline F32x4 low_half(F32x8 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3); }
inline F32x4 high_half(F32x8 v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7); }
#endif
#if defined(__AVX512F__)
inline F32x8 low_half(F32x v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
inline F32x8 high_half(F32x v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}
#endif

// Sum and maximum of all lanes, halving each time.
inline float sum(F32x4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline float max_lane(F32x4 v) {
  const float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}
#if defined(__AVX2__)
inline float sum(F32x8 v) { return sum(low_half(v) + high_half(v)); }
inline float max_lane(F32x8 v) {
  const F32x4 a = low_half(v), b = high_half(v);
  return max_lane(a > b ? a : b);
}
#endif
#if defined(__AVX512F__)
inline float sum(F32x v) { return sum(low_half(v) + high_half(v)); }
inline float max_lane(F32x v) {
  const F32x8 a = low_half(v), b = high_half(v);
  return max_lane(a > b ? a : b);
}
#endif

}  // namespace zimage::cpu::ZIMAGE_ISA
