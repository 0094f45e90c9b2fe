#include "cpu/kernels/elementwise.h"

#include "cpu/kernels/math.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// y[i] = f(x[i])
template <class F>
void map(const void* x, void* y, Dtype dtype, std::int64_t n, F&& f) {
  visit(x, dtype, [&]<class T>(const T* in) {
    T* const out = static_cast<T*>(y);
    for_lanes(n, [&](std::int64_t i, auto lanes) {
      store_up_to(f(load_up_to(in + i, lanes)), out + i, lanes);
    });
  });
}

// z[i] = f(x[i], y[i])
template <class F>
void map(const void* x, const void* y, void* z, Dtype dtype, std::int64_t n, F&& f) {
  visit(x, dtype, [&]<class T>(const T* a) {
    const T* const b = static_cast<const T*>(y);
    T* const out = static_cast<T*>(z);
    for_lanes(n, [&](std::int64_t i, auto lanes) {
      store_up_to(f(load_up_to(a + i, lanes), load_up_to(b + i, lanes)), out + i, lanes);
    });
  });
}

void silu_all(const void* x, void* y, Dtype dtype, std::int64_t n) {
  map(x, y, dtype, n, [](F32x v) { return silu(v); });
}

void silu_mul(const void* gate, const void* up, void* y, Dtype dtype, std::int64_t n) {
  map(gate, up, y, dtype, n, [](F32x g, F32x u) { return silu(g) * u; });
}

void tanh_all(const void* x, void* y, Dtype dtype, std::int64_t n) {
  map(x, y, dtype, n, [](F32x v) { return tanh(v); });
}

void add(const void* x, const void* y, void* sum, Dtype dtype, std::int64_t n) {
  map(x, y, sum, dtype, n, [](F32x a, F32x b) { return a + b; });
}

void add_gated(const float* x, const float* y, const float* gate, float* sum, std::int64_t n) {
  for_lanes(n, [&](std::int64_t i, auto lanes) {
    const F32x g = load_up_to(gate + i, lanes);
    store_up_to(mul_add(g, load_up_to(y + i, lanes), load_up_to(x + i, lanes)), sum + i, lanes);
  });
}

// Infinities and NaN have all bits of the exponent set, hence the largest magnitudes as integers.
bool all_finite(const void* x, Dtype dtype, std::int64_t n) {
  I32x largest{};
  visit(x, dtype, [&](const auto* in) {
    for_lanes(n, [&](std::int64_t i, auto lanes) {
      const I32x magnitude = bits_as<I32x>(load_up_to(in + i, lanes)) & 0x7fffffff;
      largest = magnitude > largest ? magnitude : largest;
    });
  });
  bool is_finite = true;
  for (int k = 0; k < kLanes; ++k) is_finite &= largest[k] < 0x7f800000;
  return is_finite;
}

}  // namespace

const ElementwiseKernels elementwise_kernels = {.silu = silu_all,
                                                .silu_mul = silu_mul,
                                                .tanh = tanh_all,
                                                .add = add,
                                                .add_gated = add_gated,
                                                .all_finite = all_finite};

}  // namespace zimage::cpu::ZIMAGE_ISA
