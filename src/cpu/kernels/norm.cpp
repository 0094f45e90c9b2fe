#include "cpu/kernels/norm.h"

#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// sum((x - shift)^2). Four sums, because a single chain would wait out the latency of every FMA.
template <class X>
float sum_of_squares(const X* x, float shift, std::int64_t dim) {
  const F32x s = broadcast(shift);
  F32x sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) {
      const F32x v = load(x + i + k * kLanes) - s;
      sums[k] = mul_add(v, v, sums[k]);
    }
  }
  F32x total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i + kLanes <= dim; i += kLanes) {
    const F32x v = load(x + i) - s;
    total = mul_add(v, v, total);
  }
  if (i < dim) {
    const int n = static_cast<int>(dim - i);
    F32x v = load_up_to(x + i, n) - s;
    for (int k = n; k < kLanes; ++k) v[k] = 0;  // -shift past the row
    total = mul_add(v, v, total);
  }
  return sum(total);
}

template <class X>
float sum_of(const X* x, std::int64_t dim) {
  F32x sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) sums[k] += load(x + i + k * kLanes);
  }
  F32x total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for_lanes(dim - i, [&](std::int64_t j, auto n) { total += load_up_to(x + i + j, n); });
  return sum(total);
}

// y = (x - mean) * factor * weight * scale, null weight and scale left out.
template <class X, class Y>
void normalize(const X* x, float mean, float factor, const RowNormArgs& args, Y* y) {
  const F32x m = broadcast(mean), f = broadcast(factor);
  const auto run = [&](auto&& weigh) {
    for_lanes(args.dim, [&](std::int64_t i, auto n) {
      store_up_to(weigh((load_up_to(x + i, n) - m) * f, i, n), y + i, n);
    });
  };
  const float* const w = args.weight;
  const float* const s = args.scale;
  if (w != nullptr && s != nullptr) {
    run([&](F32x v, std::int64_t i, auto n) {
      return v * load_up_to(w + i, n) * load_up_to(s + i, n);
    });
  } else if (w != nullptr || s != nullptr) {
    const float* const only = w != nullptr ? w : s;
    run([&](F32x v, std::int64_t i, auto n) { return v * load_up_to(only + i, n); });
  } else {
    run([](F32x v, std::int64_t, auto) { return v; });
  }
}

template <class Row>
void for_rows(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end, Row&& row) {
  visit(args.x, args.x_dtype, [&](auto* x) {
    visit(args.y, args.y_dtype, [&](auto* y) {
      for (std::int64_t r = row_begin; r < row_end; ++r) row(x + r * args.dim, y + r * args.dim);
    });
  });
}

void rms_norm(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  for_rows(args, row_begin, row_end, [&](const auto* x, auto* y) {
    const float mean_square = sum_of_squares(x, 0, args.dim) / static_cast<float>(args.dim);
    normalize(x, 0, 1 / __builtin_sqrtf(mean_square + args.eps), args, y);
  });
}

void layer_norm(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  for_rows(args, row_begin, row_end, [&](const auto* x, auto* y) {
    const auto dim = static_cast<float>(args.dim);
    const float mean = sum_of(x, args.dim) / dim;
    const float variance = sum_of_squares(x, mean, args.dim) / dim;
    normalize(x, mean, 1 / __builtin_sqrtf(variance + args.eps), args, y);
  });
}

}  // namespace

const NormKernels norm_kernels = {.rms_norm = rms_norm, .layer_norm = layer_norm};

}  // namespace zimage::cpu::ZIMAGE_ISA
