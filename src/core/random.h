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
  std::uint64_t random64();  // two draws, the first is the high half
  // torch.randn(shape, dtype=float32, generator), continuing the stream. 16 elements and more: the
  // bits of torch on any x86-64 with AVX2 (its AVX2 kernel runs on AVX-512 machines as well), on
  // any machine. Fewer than 16: torch rounds double libm results, which agrees but for libm's last
  // bit.
  Tensor randn(const Shape& shape);

 private:
  double normal_scalar();  // Box-Muller pair with a kept second value, used below 16 elements
  void twist();

  std::array<std::uint32_t, 624> state_;
  int next_ = 624;
  bool has_normal_ = false;
  double kept_normal_ = 0;
};

// torch's generator on a CUDA device: Philox4x32-10 in the grid layout of a device with
// `multiprocessors` of 2048 threads each. The layout, hence the numbers, depend on the device only
// for more than multiprocessors * 2048 elements; a card with 1536 threads per multiprocessor (RTX
// 30, 40) is one with 3/4 of its multiprocessors here. The random bits are exact. A GPU takes sine
// and cosine from its fast unit, whose absolute error of about 2^-21 is not published bit by bit:
// values agree to about 5e-6, not to the last bit. Source:
// ATen/native/cuda/DistributionTemplates.h, ATen/cuda/CUDAGeneratorImpl.cpp, cuRAND's
// curand_normal.h.
class TorchCudaGenerator {
 public:
  explicit TorchCudaGenerator(std::uint64_t seed, int multiprocessors = 132);
  // torch.randn(shape, device="cuda", dtype=float32, generator), continuing the stream.
  Tensor randn(const Shape& shape);

 private:
  std::uint64_t seed_;
  int multiprocessors_;
  std::uint64_t draws_ = 0;  // of four numbers, by every thread of the grid
};

}  // namespace zimage
