#include "transformer/timestep_embedder.h"

#include <cmath>

#include "ops/elementwise.h"

namespace zimage {
namespace {

constexpr int kFrequencies = 128;
constexpr int kHiddenDim = 1024;
constexpr double kMaxPeriod = 10000;

// [cos(t * f_i), sin(t * f_i)] with f_i from 1 down to 1 / kMaxPeriod. Every step rounds to f32 as
// in diffusers: t is up to 1000, so an angle of its own would differ in the fourth digit.
Tensor sinusoids(float t) {
  Tensor embedding = empty({1, 2 * kFrequencies});
  float* values = embedding.data<float>();
  const auto log_period = static_cast<float>(-std::log(kMaxPeriod));
  for (int i = 0; i < kFrequencies; ++i) {
    const float exponent = log_period * static_cast<float>(i) / kFrequencies;
    const auto frequency = static_cast<float>(std::exp(double{exponent}));
    const float angle = t * frequency;
    values[i] = static_cast<float>(std::cos(double{angle}));
    values[kFrequencies + i] = static_cast<float>(std::sin(double{angle}));
  }
  return embedding;
}

}  // namespace

TimestepEmbedder::TimestepEmbedder(const WeightScope& weights, int out_dim)
    : mlp0_(weights / "mlp" / "0", 2 * kFrequencies, kHiddenDim, Linear::Bias::kPresent),
      mlp2_(weights / "mlp" / "2", kHiddenDim, out_dim, Linear::Bias::kPresent) {}

Tensor TimestepEmbedder::operator()(float t) const { return mlp2_(ops::silu(mlp0_(sinusoids(t)))); }

}  // namespace zimage
