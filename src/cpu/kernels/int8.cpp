#include "cpu/kernels/int8.h"

#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

F32x4 load4(const float* p) {
  F32x4 v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
void store4(F32x4 v, float* p) { __builtin_memcpy(p, &v, sizeof(v)); }

// One factor of the matrix: rows (1, 1, 1, -1), (1, 1, -1, 1), (1, -1, 1, 1), (-1, 1, 1, 1),
// halved. Every output is half the sum without the input on the other side.
template <class V>
void turn(V& a, V& b, V& c, V& d) {
  const V half = 0.5f * ((a + b) + (c + d));
  const V first = half - d, second = half - c, third = half - b, fourth = half - a;
  a = first;
  b = second;
  c = third;
  d = fourth;
}

// The four channels of a register with each other.
F32x4 turn_lanes(F32x4 v) {
  const F32x4 pairs = v + __builtin_shufflevector(v, v, 1, 0, 3, 2);
  const F32x4 sum = pairs + __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1);
  return 0.5f * sum - __builtin_shufflevector(v, v, 3, 2, 1, 0);
}

// Channels `step` apart, in registers V.
template <class V>
void turn_apart(float* x, std::int64_t n, std::int64_t step) {
  constexpr std::int64_t kWidth = sizeof(V) / sizeof(float);
  const auto at = [&](std::int64_t i) {
    V v;
    __builtin_memcpy(&v, x + i, sizeof(v));
    return v;
  };
  for (std::int64_t block = 0; block < n; block += 4 * step) {
    for (std::int64_t i = block; i < block + step; i += kWidth) {
      V a = at(i), b = at(i + step), c = at(i + 2 * step), d = at(i + 3 * step);
      turn<V>(a, b, c, d);
      __builtin_memcpy(x + i, &a, sizeof(a));
      __builtin_memcpy(x + i + step, &b, sizeof(b));
      __builtin_memcpy(x + i + 2 * step, &c, sizeof(c));
      __builtin_memcpy(x + i + 3 * step, &d, sizeof(d));
    }
  }
}

// The Kronecker power of the factor: each factor acts on one digit of the channel's number in base
// four.
void rotate(float* x, std::int64_t channels, std::int64_t rotation) {
  if (rotation >= 4) {
    for (std::int64_t i = 0; i < channels; i += 4) store4(turn_lanes(load4(x + i)), x + i);
  }
  if (rotation >= 16) turn_apart<F32x4>(x, channels, 4);
  for (std::int64_t step = 16; 4 * step <= rotation; step *= 4) {
    turn_apart<F32x>(x, channels, step);
  }
}

// NaN where a value is not finite.
float largest_magnitude(const float* x, std::int64_t n) {
  I32x largest{};  // as integers magnitudes have the same order, with infinity and NaN at the end
  for_lanes(n, [&](std::int64_t i, auto lanes) {
    const I32x magnitude = bits_as<I32x>(load_up_to(x + i, lanes)) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  });
  std::int32_t bits = 0;
  for (int k = 0; k < kLanes; ++k) bits = largest[k] > bits ? largest[k] : bits;
  return bits < 0x7f800000 ? bits_as<float>(bits) : __builtin_nanf("");
}

// Nearest, ties to even.
I32x rounded(F32x v) {
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  return bits_as<I32x>(v + kRound) - bits_as<I32x>(broadcast(kRound));
}

void quantize_row(const QuantizeRow& r) {
  visit(r.x, r.x_dtype, [&](const auto* x) {
    for_lanes(r.channels,
              [&](std::int64_t i, auto n) { store_up_to(load_up_to(x + i, n), r.turned + i, n); });
  });
  rotate(r.turned, r.channels, r.rotation);
  const float largest = largest_magnitude(r.turned, r.channels);
  *r.scale = largest / 127;
  // A row of zeros stays one; NaN gives values of some kind, which its scale makes NaN again.
  const F32x scale = broadcast(*r.scale > 1e-30f ? *r.scale : 1e-30f);
  I32x sums{};
  for_lanes(r.channels, [&](std::int64_t i, auto n) {
    const F32x v = load_up_to(r.turned + i, n) / scale;
    const I32x q = rounded(min(max(v, broadcast(-127)), broadcast(127)));
    sums += q;
    for (int k = 0; k < n; ++k) r.values[i + k] = static_cast<std::int8_t>(q[k]);
  });
  std::int32_t sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += sums[k];
  if (r.sum != nullptr) *r.sum = sum;
}

void widen_bytes(const std::int8_t* x, std::int64_t n, std::int16_t* y) {
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<std::int16_t>((static_cast<std::uint8_t>(x[i]) ^ 0x80) - 0x80);
  }
}

void finish(const Int8Sums& a) {
  const F32x row_scale = broadcast(a.row_scale);
  for_lanes(a.columns, [&](std::int64_t i, auto n) {
    const I32x sums = bits_as<I32x>(load_up_to(reinterpret_cast<const float*>(a.sums) + i, n));
    F32x y =
        __builtin_convertvector(sums - a.offset, F32x) * row_scale * load_up_to(a.scales + i, n);
    if (a.bias != nullptr) y += load_up_to(a.bias + i, n);
    store_up_to(y, a.y + i, n);
  });
}

}  // namespace

const Int8Kernels int8_kernels = {
    .quantize_row = quantize_row, .rotate = rotate, .widen = widen_bytes, .finish = finish};

}  // namespace zimage::cpu::ZIMAGE_ISA
