#include "pipeline/noise.h"

namespace zimage {

NoiseStream::NoiseStream(Rng rng, std::uint64_t seed) : generator_(TorchCpuGenerator(seed)) {
  if (rng == Rng::kCuda) generator_ = TorchCudaGenerator(seed);
}

Tensor NoiseStream::randn(const Shape& shape) {
  return std::visit([&](auto& generator) { return generator.randn(shape); }, generator_);
}

}  // namespace zimage
