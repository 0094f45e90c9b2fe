#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace zimage {

// torch's CPU generator: mt19937 seeded with the low 32 bits of the seed.
// Source: ATen/core/MT19937RNGEngine.h, CPUGeneratorImpl.cpp, native/cpu/DistributionTemplates.h.
class TorchCpuGenerator {
 public:
  explicit TorchCpuGenerator(std::uint64_t seed);

  std::uint32_t random();    // 32 bits
  std::uint64_t random64();  // two draws
  // torch.randn(shape, dtype=float32, generator): bit-exact for any count.
  Tensor randn(const Shape& shape);

 private:
  double normal_scalar();  // Box-Muller pair with a kept second value, used below 16 elements
  void twist();

  std::array<std::uint32_t, 624> state_;
  int next_ = 624;
  bool has_normal_ = false;
  double kept_normal_ = 0;
};

// torch.randn(shape, device="cuda", dtype=float32) of a fresh generator with this seed: Philox4x32-10
// in the grid layout of a device with `multiprocessors` (the layout, hence the numbers, depend on it
// only for more than multiprocessors * 2048 * 4 elements).
Tensor torch_cuda_randn(const Shape& shape, std::uint64_t seed, int multiprocessors = 132);

}  // namespace zimage
