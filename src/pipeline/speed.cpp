#include "pipeline/speed.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "core/allocator.h"
#include "ops/attention.h"
#include "ops/conv2d.h"
#include "ops/elementwise.h"
#include "ops/int8.h"
#include "ops/linear.h"

namespace zimage {
namespace {

// Numbers of about one without a pattern: zeros or subnormals would be another speed.
Tensor numbers(const Shape& shape, Dtype dtype) {
  Tensor x = empty(shape);
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    x.data<float>()[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
  return ops::cast(x, dtype);
}

// The fastest of some runs: others may share the machine.
template <class Work>
double rate(double operations, Work&& work) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 3;
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < kRuns; ++i) {
    const auto start = Clock::now();
    (void)work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return operations / std::max(best, 1e-9);
}

double linear_rate(const TransformerConfig& c, Dtype compute) {
  constexpr std::int64_t kRows = 512;
  const Tensor x = numbers({kRows, c.dim}, compute);
  const Tensor weight = numbers({c.dim, c.dim}, compute);
  return rate(2.0 * kRows * c.dim * c.dim, [&] { return ops::linear(x, weight, {}, compute); });
}

double int8_rate(const TransformerConfig& c, Dtype compute) {
  constexpr std::int64_t kRows = 512;
  if (c.dim % 4 != 0) return 0;
  const Tensor x = numbers({kRows, c.dim}, compute);
  const auto weight =
      ops::quantize_int8(numbers({c.dim, c.dim}, compute), ops::int8_rotation(c.dim));
  return rate(2.0 * kRows * c.dim * c.dim, [&] { return ops::linear(x, weight, {}, compute); });
}

double attention_rate(const TransformerConfig& c, Dtype compute) {
  constexpr std::int64_t kTokens = 1024;
  const std::int64_t heads = std::min(c.n_heads, 8);
  const Tensor x = numbers({kTokens, heads, c.head_dim()}, compute);
  return rate(4.0 * kTokens * kTokens * static_cast<double>(heads) * c.head_dim(),
              [&] { return ops::attention(x, x, x, 0.1f); });
}

// At the two widths that take most of the time: the narrowest and the one before it.
double convolution_rate(const VaeConfig& c, Dtype compute) {
  constexpr std::int64_t kSide = 128, kKernel = 3;
  const auto& channels = c.block_out_channels;
  const std::int64_t out = channels.front(), in = channels[channels.size() > 1 ? 1 : 0];
  const Tensor x = numbers({kSide, kSide, in}, compute);
  const Tensor weight = numbers({out, kKernel, kKernel, in}, compute);
  const ops::Conv2dOptions same{
      .stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  return rate(2.0 * kSide * kSide * kKernel * kKernel * static_cast<double>(in * out),
              [&] { return ops::conv2d(x, weight, {}, same); });
}

}  // namespace

Speed measure_speed(const TransformerConfig& transformer, const VaeConfig& vae, Dtype compute,
                    bool with_int8) {
  const Speed speed{.linear = linear_rate(transformer, compute),
                    .attention = attention_rate(transformer, compute),
                    .convolution = convolution_rate(vae, compute),
                    .int8 = with_int8 ? int8_rate(transformer, compute) : 0};
  allocator::trim();
  return speed;
}

}  // namespace zimage
