#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "ops/int8.h"
#include "ops/linear.h"
#include "ops/weight_rows.h"

namespace zimage {

// A product that is more than one with a single matrix. Immutable.
class ComposedWeight {
 public:
  ComposedWeight() = default;
  ComposedWeight(const ComposedWeight&) = delete;
  ComposedWeight& operator=(const ComposedWeight&) = delete;
  virtual ~ComposedWeight() = default;
  // As WeightMatrix::product().
  virtual Tensor product(const Tensor& x, const Tensor& bias, Dtype out_dtype) const = 0;
};

// Weights [out, in] in the format in which they are multiplied, or in which their rows are read.
class WeightMatrix {
 public:
  explicit WeightMatrix(Tensor dense) : weight_(std::move(dense)) {}  // f32 or bf16, as x then is
  explicit WeightMatrix(ops::Int8Matrix weight) : weight_(std::move(weight)) {}
  explicit WeightMatrix(std::shared_ptr<const ops::WeightRows> weight)
      : weight_(std::move(weight)) {}
  explicit WeightMatrix(std::shared_ptr<const ComposedWeight> weight)
      : weight_(std::move(weight)) {}

  // x: [..., in] f32 or bf16; bias: [out] f32 or undefined. Returns [..., out] of out_dtype.
  Tensor product(const Tensor& x, const Tensor& bias, Dtype out_dtype) const {
    return std::visit([&](const auto& weight) { return multiply(x, weight, bias, out_dtype); },
                      weight_);
  }

  // Null in another format.
  const Tensor* dense() const { return std::get_if<Tensor>(&weight_); }
  const ops::Int8Matrix* int8() const { return std::get_if<ops::Int8Matrix>(&weight_); }
  const ops::WeightRows* rows() const {
    const Rows* const rows = std::get_if<Rows>(&weight_);
    return rows == nullptr ? nullptr : rows->get();
  }

 private:
  using Rows = std::shared_ptr<const ops::WeightRows>;
  using Composed = std::shared_ptr<const ComposedWeight>;

  template <class Weight>
  static Tensor multiply(const Tensor& x, const Weight& weight, const Tensor& bias, Dtype dtype) {
    return ops::linear(x, weight, bias, dtype);
  }
  static Tensor multiply(const Tensor& x, const Rows& rows, const Tensor& bias, Dtype dtype) {
    return ops::linear(x, *rows, bias, dtype);
  }
  static Tensor multiply(const Tensor& x, const Composed& weight, const Tensor& bias, Dtype dtype) {
    return weight->product(x, bias, dtype);
  }

  std::variant<Tensor, ops::Int8Matrix, Rows, Composed> weight_;
};

// Rows [begin, end) of a weight that is no ComposedWeight, f32.
Tensor decoded_rows(const WeightMatrix& weight, std::int64_t begin, std::int64_t end);

}  // namespace zimage
