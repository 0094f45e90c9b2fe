#include "cpu/kernels/norm.h"

#include "cpu/kernels/reduce.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

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
    normalize(x, 0, inverse_rms(x, args.dim, args.eps), args, y);
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
