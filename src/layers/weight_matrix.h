#pragma once

#include <memory>
#include <utility>
#include <variant>

#include "ops/int8.h"
#include "ops/linear.h"
#include "ops/weight_rows.h"

namespace zimage {

// The weights of a product, [out, in], in the format in which they are multiplied.
class WeightMatrix {
 public:
  explicit WeightMatrix(Tensor dense) : weight_(std::move(dense)) {}  // f32 or bf16, as x then is
  explicit WeightMatrix(ops::Int8Matrix weight) : weight_(std::move(weight)) {}

  explicit WeightMatrix(std::shared_ptr<const ops::WeightRows> weight)
      : weight_(std::move(weight)) {}

  // x: [..., in] f32 or bf16; bias: [out] f32 or undefined. Returns [..., out] of out_dtype.
  Tensor product(const Tensor& x, const Tensor& bias, Dtype out_dtype) const {
    return std::visit(
        [&](const auto& weight) { return ops::linear(x, operand(weight), bias, out_dtype); },
        weight_);
  }

  // Null in another format.
  const ops::Int8Matrix* int8() const { return std::get_if<ops::Int8Matrix>(&weight_); }
  const ops::WeightRows* rows() const {
    const Rows* const rows = std::get_if<Rows>(&weight_);
    return rows == nullptr ? nullptr : rows->get();
  }

 private:
  using Rows = std::shared_ptr<const ops::WeightRows>;
  static const Tensor& operand(const Tensor& weight) { return weight; }
  static const ops::Int8Matrix& operand(const ops::Int8Matrix& weight) { return weight; }
  static const ops::WeightRows& operand(const Rows& weight) { return *weight; }

  std::variant<Tensor, ops::Int8Matrix, Rows> weight_;
};

}  // namespace zimage
