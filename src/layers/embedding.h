#pragma once

#include <cstdint>
#include <span>

#include "layers/weight_matrix.h"

namespace zimage {

// A table of vectors as it is stored, never converted as a whole: only the rows asked for are read.
class Embedding {
 public:
  explicit Embedding(WeightMatrix table);  // [vocabulary, dim]

  // Returns [ids, dim] f32. Throws Error for an id outside the vocabulary.
  Tensor operator()(std::span<const std::int32_t> ids) const;

 private:
  WeightMatrix table_;
  Shape shape_;
};

}  // namespace zimage
