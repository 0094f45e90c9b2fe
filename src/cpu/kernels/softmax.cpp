#include "cpu/kernels/softmax.h"

#include "cpu/kernels/math.h"
#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// 2^x for x <= 0, 0 below -126. With x = n + r, |r| <= 1/2, it is 2^n 2^r; the polynomial is
// minimax, 2e-7 relative at most.
F32x power_of_negative(F32x x) {
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const F32x y = max(broadcast(-127), x);  // NaN passes
  const F32x shifted = y + kRound;
  const F32x r = y - (shifted - kRound);
  const U32x n = bits_as<U32x>(shifted) << 23;  // the low bits of kRound are zero
  const F32x power = polynomial(r, 1.00000007f, 0.693146967f, 0.240221197f, 0.0555071327f,
                                0.00967554133f, 0.0013276472f);
  return power * bits_as<F32x>(n + (127u << 23));  // n is -127: times 0
}

float scaled_max(const float* scores, std::int64_t n, float scale) {
  const F32x s = broadcast(scale);
  F32x lanes = broadcast(-__builtin_inff());
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) lanes = max(load(scores + i) * s, lanes);
  float largest = max_lane(lanes);
  for (; i < n; ++i) {
    const float score = scores[i] * scale;
    if (score > largest) largest = score;
  }
  return largest;
}

// Writes 2^(score * scale - largest) and returns the sum.
template <class Y>
float exponentials(const float* scores, std::int64_t n, float scale, float largest, Y* y) {
  const F32x s = broadcast(scale), shift = broadcast(-largest);
  F32x total{};
  for_lanes(n, [&](std::int64_t i, auto lanes) {
    F32x weight = power_of_negative(mul_add(load_up_to(scores + i, lanes), s, shift));
    for (int k = lanes; k < kLanes; ++k) weight[k] = 0;
    total += weight;
    store_up_to(weight, y + i, lanes);
  });
  return sum(total);
}

void multiply(float* row, std::int64_t dim, float factor) {
  for_lanes(dim, [&](std::int64_t i, auto n) {
    store_up_to(load_up_to(row + i, n) * factor, row + i, n);
  });
}

template <class Y>
void softmax_row(const SoftmaxBlock& b, std::int64_t row, Y* weights) {
  const std::int64_t sees = b.visible + row;
  const std::int64_t n = sees < 0 ? 0 : sees < b.keys ? sees : b.keys;
  __builtin_memset(static_cast<void*>(weights + n), 0, (b.keys - n) * sizeof(Y));
  if (n == 0) return;

  const float* const scores = b.scores + row * b.stride;
  const float before = b.largest[row];
  const float here = scaled_max(scores, n, b.scale);
  const float largest = here > before ? here : before;
  if (largest > before) {
    const float factor = power_of_negative(broadcast(before - largest))[0];
    b.largest[row] = largest;
    b.sum[row] *= factor;
    multiply(b.output + row * b.output_stride, b.dim, factor);
  }
  b.sum[row] += exponentials(scores, n, b.scale, largest, weights);
}

void softmax_block(const SoftmaxBlock& b) {
  visit(b.weights, b.weights_dtype, [&](auto* weights) {
    for (std::int64_t row = 0; row < b.rows; ++row) softmax_row(b, row, weights + row * b.stride);
  });
}

void divide(const SoftmaxBlock& b, void* y, Dtype y_dtype, std::int64_t stride) {
  visit(y, y_dtype, [&](auto* out) {
    for (std::int64_t row = 0; row < b.rows; ++row) {
      const float factor = 1 / b.sum[row];
      const float* const output = b.output + row * b.output_stride;
      for_lanes(b.dim, [&](std::int64_t i, auto n) {
        store_up_to(load_up_to(output + i, n) * factor, out + row * stride + i, n);
      });
    }
  });
}

}  // namespace

const SoftmaxKernels softmax_kernels = {.block = softmax_block, .divide = divide};

}  // namespace zimage::cpu::ZIMAGE_ISA
