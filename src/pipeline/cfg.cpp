#include "pipeline/cfg.h"

#include <cmath>

#include "core/check.h"

namespace zimage {
namespace {

double norm(const Tensor& x) {
  const float* values = x.data<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < x.numel(); ++i) sum += double{values[i]} * values[i];
  return std::sqrt(sum);
}

void multiply(Tensor& x, float factor) {
  float* values = x.data<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] *= factor;
}

}  // namespace

float cfg_scale_at(const CfgOptions& options, float t) {
  const bool is_truncated = options.truncation <= 1 && t > options.truncation;
  return options.scale > 0 && !is_truncated ? options.scale : 0;
}

Tensor apply_cfg(const Tensor& pos, const Tensor& neg, float scale, const CfgOptions& options) {
  check(pos.shape() == neg.shape(), "apply_cfg: negative prediction ", neg.shape(),
        " does not fit the positive ", pos.shape());
  check(pos.dtype() == Dtype::kF32 && neg.dtype() == Dtype::kF32, "apply_cfg: predictions ",
        pos.dtype(), " and ", neg.dtype(), ", expected F32");
  Tensor pred = empty(pos.shape());
  const float* p = pos.data<float>();
  const float* n = neg.data<float>();
  float* out = pred.data<float>();
  for (std::int64_t i = 0; i < pred.numel(); ++i) {
    const float guidance = scale * (p[i] - n[i]);  // rounded by itself, as in torch
    out[i] = p[i] + guidance;
  }
  if (options.normalization && options.normalization_factor > 0) {
    const double limit = norm(pos) * options.normalization_factor;
    const double length = norm(pred);
    if (length > limit) multiply(pred, static_cast<float>(limit / length));
  }
  return pred;
}

}  // namespace zimage
