#pragma once

#include "layers/weights.h"

namespace zimage {

// y = x * weight^T (+ bias), as torch.nn.Linear.
class Linear {
 public:
  enum class Bias { kNone, kPresent };

  Linear(const WeightScope& weights, int in, int out, Bias bias = Bias::kNone)
      : weight_(weights.product_weight("weight", {out, in})),
        bias_(bias == Bias::kPresent ? weights.vector("bias", {out}) : Tensor()) {}

  // x: [..., in] of the compute dtype. Returns [..., out] of out_dtype.
  Tensor operator()(const Tensor& x, Dtype out_dtype) const {
    return weight_.product(x, bias_, out_dtype);
  }
  Tensor operator()(const Tensor& x) const { return (*this)(x, x.dtype()); }

 private:
  WeightMatrix weight_;
  Tensor bias_;
};

}  // namespace zimage
