#pragma once

#include <variant>

#include "core/random.h"
#include "zimage/pipeline.h"

namespace zimage {

// The random numbers of one picture, in the order in which they are asked for.
class NoiseStream {
 public:
  NoiseStream(Rng rng, std::uint64_t seed);
  Tensor randn(const Shape& shape);  // f32, standard normal

 private:
  std::variant<TorchCpuGenerator, TorchCudaGenerator> generator_;
};

}  // namespace zimage
