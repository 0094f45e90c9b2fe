#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace zimage {

// A table of vectors as it is stored, never converted as a whole: only the rows asked for are read.
class Embedding {
 public:
  explicit Embedding(Tensor table) : table_(std::move(table)) {}  // [vocabulary, dim]

  // Returns [ids, dim] f32. Throws Error for an id outside the vocabulary.
  Tensor operator()(std::span<const std::int32_t> ids) const;

 private:
  Tensor table_;
};

}  // namespace zimage
