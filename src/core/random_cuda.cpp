#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/philox.h"
#include "core/random.h"

namespace zimage {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xd2511f53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xcd9e8d57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
  return counter;
}

namespace {

constexpr std::int64_t kBlockThreads = 256;
constexpr std::int64_t kBlocksPerMultiprocessor = 2048 / kBlockThreads;

struct NormalPair {
  float first, second;
};

// cuRAND's Box-Muller: bits become centres of 2^32 equal cells of (0, 1), sine comes first.
NormalPair box_muller(std::uint32_t x, std::uint32_t y) {
  constexpr float kCell = 2.3283064e-10f;  // 2^-32 as cuRAND writes it, likewise 2 pi
  constexpr float kCell2Pi = 2.3283064e-10f * 6.2831855f;
  const float u = std::fma(static_cast<float>(x), kCell, kCell / 2);
  const double angle = std::fma(static_cast<float>(y), kCell2Pi, kCell2Pi / 2);
  const double radius = std::sqrt(-2.0 * std::log(double{u}));
  return {static_cast<float>(radius * std::sin(angle)),
          static_cast<float>(radius * std::cos(angle))};
}

}  // namespace

TorchCudaGenerator::TorchCudaGenerator(std::uint64_t seed, int multiprocessors)
    : seed_(seed), multiprocessors_(multiprocessors) {
  check(multiprocessors > 0, "TorchCudaGenerator: ", multiprocessors, " multiprocessors");
}

// Thread t of the grid draws from subsequence t; its draw i fills elements t + (4 i + 0..3) *
// threads.
Tensor TorchCudaGenerator::randn(const Shape& shape) {
  Tensor noise = empty(shape);
  float* values = noise.data<float>();
  const std::int64_t n = noise.numel();
  const std::int64_t blocks = std::min((n + kBlockThreads - 1) / kBlockThreads,
                                       multiprocessors_ * kBlocksPerMultiprocessor);
  const std::int64_t threads = blocks * kBlockThreads;
  const std::array key{static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)};

  for (std::int64_t begin = 0; begin < n; begin += 4 * threads, ++draws_) {
    for (std::int64_t t = 0; t < std::min(threads, n - begin); ++t) {
      const auto bits =
          philox4x32({static_cast<std::uint32_t>(draws_), static_cast<std::uint32_t>(draws_ >> 32),
                      static_cast<std::uint32_t>(t), 0},
                     key);
      const auto [x, y] = box_muller(bits[0], bits[1]);
      float* out = values + begin + t;
      const std::int64_t left = n - begin - t;
      out[0] = x;
      if (left > threads) out[threads] = y;
      if (left <= 2 * threads) continue;
      const auto [z, w] = box_muller(bits[2], bits[3]);
      out[2 * threads] = z;
      if (left > 3 * threads) out[3 * threads] = w;
    }
  }
  return noise;
}

}  // namespace zimage
