#pragma once

#include "layers/weights.h"
#include "ops/norm.h"

namespace zimage {

// x / sqrt(mean(x^2) + eps) * weight, with a result of `out_dtype`.
class RmsNorm {
 public:
  RmsNorm(const WeightScope& weights, int dim, float eps, Dtype out_dtype)
      : weight_(weights.vector("weight", {dim})), eps_(eps), out_dtype_(out_dtype) {}

  // x: [..., dim] f32 or bf16; scale: [dim] f32, multiplies the result when given.
  Tensor operator()(const Tensor& x, const Tensor& scale = {}) const {
    return ops::rms_norm(x, weight_, eps_, out_dtype_, scale);
  }

 private:
  Tensor weight_;
  float eps_;
  Dtype out_dtype_;
};

}  // namespace zimage
