#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/weight_rows.h"

namespace zimage::bench {

// A format of weights that products decode where they multiply them.
struct WeightFormat {
  std::string name;
  std::function<std::shared_ptr<const ops::WeightRows>(const Tensor& weight)> quantize;  // of f32
};

// All of GGUF files (block_quantizer.h makes their blocks), then of MLX's one of each kind:
// "MLX 8/32" is affine with 8 bits in groups of 32.
std::vector<WeightFormat> weight_formats();

}  // namespace zimage::bench
