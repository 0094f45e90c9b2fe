#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/check.h"
#include "core/torch_math.h"

namespace zimage {
namespace {

constexpr int kGroup = 16;  // torch transforms 16 uniform values at a time: 8 radii, 8 angles

// In place: uniform values of [0, 1) become normal ones.
void box_muller_16(float* values) {
  for (int i = 0; i < kGroup / 2; ++i) {
    const float radius = std::sqrt(-2.0f * torch_log(1.0f - values[i]));
    const auto [sin, cos] = torch_sincos(6.283185307179586f * values[i + 8]);
    // torch adds the mean of 0, which turns -0 into 0.
    values[i] = radius * cos + 0.0f;
    values[i + 8] = radius * sin + 0.0f;
  }
}

float uniform_f32(std::uint32_t bits) { return static_cast<float>(bits & 0xffffffu) * 0x1p-24f; }

double uniform_f64(std::uint64_t bits) {
  return static_cast<double>(bits & 0x1fffffffffffffu) * 0x1p-53;
}

}  // namespace

TorchCpuGenerator::TorchCpuGenerator(std::uint64_t seed) {
  state_[0] = static_cast<std::uint32_t>(seed);
  for (std::uint32_t i = 1; i < state_.size(); ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
}

// The recurrence of mt19937 (Matsumoto, Nishimura 1998) for the whole state at once.
void TorchCpuGenerator::twist() {
  const int size = static_cast<int>(state_.size());
  for (int i = 0; i < size; ++i) {
    const std::uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % size] & 0x7fffffffu);
    state_[i] = state_[(i + 397) % size] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  next_ = 0;
}

std::uint32_t TorchCpuGenerator::random() {
  if (next_ == static_cast<int>(state_.size())) twist();
  std::uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

std::uint64_t TorchCpuGenerator::random64() {
  const std::uint64_t high = random();
  return high << 32 | random();
}

double TorchCpuGenerator::normal_scalar() {
  if (has_normal_) {
    has_normal_ = false;
    return kept_normal_;
  }
  const double turn = uniform_f64(random64());
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform_f64(random64())));
  const double angle = 2.0 * std::numbers::pi * turn;
  kept_normal_ = radius * std::sin(angle);
  has_normal_ = true;
  return radius * std::cos(angle);
}

Tensor TorchCpuGenerator::randn(const Shape& shape) {
  Tensor noise = empty(shape);
  float* values = noise.data<float>();
  const std::int64_t n = noise.numel();
  if (n < kGroup) {
    for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(normal_scalar() + 0.0);
    return noise;
  }
  for (std::int64_t i = 0; i < n; ++i) values[i] = uniform_f32(random());
  for (std::int64_t i = 0; i + kGroup <= n; i += kGroup) box_muller_16(values + i);
  if (n % kGroup != 0) {  // the last 16 are drawn afresh, over the end of the last full group
    float* last = values + n - kGroup;
    for (int i = 0; i < kGroup; ++i) last[i] = uniform_f32(random());
    box_muller_16(last);
  }
  return noise;
}

}  // namespace zimage
