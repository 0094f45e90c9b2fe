#include "cpu/kernels/group_norm.h"

#include "cpu/kernels/math.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

struct F64Pair {
  F64x low{}, high{};
};

F64Pair to_f64(F32x v) {
#if defined(__AVX2__)
  return {__builtin_convertvector(low_half(v), F64x), __builtin_convertvector(high_half(v), F64x)};
#else
  return {F64x{v[0], v[1]}, F64x{v[2], v[3]}};
#endif
}

template <class Lanes>
void store_sums(const F64Pair& v, double* p, Lanes n) {
  __builtin_memcpy(p, &v, n * sizeof(double));  // low, then high
}

struct Sums {
  F64Pair of_x, of_squares;

  void add(F32x x) {
    const F64Pair v = to_f64(x);
    of_x.low += v.low;
    of_x.high += v.high;
    of_squares.low += v.low * v.low;  // the square of a float is exact
    of_squares.high += v.high * v.high;
  }
};

template <class X>
void channel_sums_of(const X* x, std::int64_t pixels, std::int64_t channels, double* sum,
                     double* square_sum) {
  const auto store = [&](const Sums& sums, std::int64_t c, auto lanes) {
    store_sums(sums.of_x, sum + c, lanes);
    store_sums(sums.of_squares, square_sum + c, lanes);
  };
  // Two registers of channels, because four chains would wait out the latency of their additions.
  std::int64_t c = 0;
  for (; c + 2 * kLanes <= channels; c += 2 * kLanes) {
    Sums a, b;
    const X* row = x + c;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel, row += channels) {
      a.add(load(row));
      b.add(load(row + kLanes));
    }
    store(a, c, kFull);
    store(b, c + kLanes, kFull);
  }
  for_lanes(channels - c, [&](std::int64_t i, auto lanes) {
    Sums sums;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      sums.add(load_up_to(x + pixel * channels + c + i, lanes));
    }
    store(sums, c + i, lanes);
  });
}

void channel_sums(const void* x, Dtype dtype, std::int64_t pixels, std::int64_t channels,
                  double* sum, double* square_sum) {
  visit(x, dtype, [&](const auto* in) { channel_sums_of(in, pixels, channels, sum, square_sum); });
}

template <class T, class Activation>
void scale_shift_of(const T* x, std::int64_t pixels, std::int64_t channels, const float* factor,
                    const float* shift, Activation&& activation, T* y) {
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel, x += channels, y += channels) {
    for_lanes(channels, [&](std::int64_t c, auto lanes) {
      const F32x v = mul_add(load_up_to(x + c, lanes), load_up_to(factor + c, lanes),
                             load_up_to(shift + c, lanes));
      store_up_to(activation(v), y + c, lanes);
    });
  }
}

void scale_shift(const void* x, Dtype dtype, std::int64_t pixels, std::int64_t channels,
                 const float* factor, const float* shift, bool with_silu, void* y) {
  visit(x, dtype, [&]<class T>(const T* in) {
    T* const out = static_cast<T*>(y);
    if (with_silu) {
      scale_shift_of(
          in, pixels, channels, factor, shift, [](F32x v) { return silu(v); }, out);
    } else {
      scale_shift_of(
          in, pixels, channels, factor, shift, [](F32x v) { return v; }, out);
    }
  });
}

}  // namespace

const GroupNormKernels group_norm_kernels = {.channel_sums = channel_sums,
                                             .scale_shift = scale_shift};

}  // namespace zimage::cpu::ZIMAGE_ISA
