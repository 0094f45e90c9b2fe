// Weights that are decoded on use, from a tensor.
#pragma once

#include <cstring>

#include "ops/weight_rows.h"

namespace zimage {

class TensorRows : public ops::WeightRows {
 public:
  explicit TensorRows(Tensor values) : values_(std::move(values)) {}  // [out, in] f32
  const Shape& shape() const override { return values_.shape(); }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    std::memcpy(values, values_.data<float>() + row * shape()[1] + channel, n * sizeof(float));
  }
  std::vector<Tensor> tensors() const override { return {values_}; }

 private:
  Tensor values_;
};

}  // namespace zimage
