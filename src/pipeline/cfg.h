#pragma once

#include "core/tensor.h"

namespace zimage {

// Classifier-free guidance as in diffusers' ZImagePipeline.
struct CfgOptions {
  float scale = 0;        // 0: off
  double truncation = 1;  // where t = 1 - sigma exceeds it, scale counts as 0; 1 and more: never
  bool normalization = false;      // ||pred|| is limited to factor * ||pos||
  float normalization_factor = 1;  // 0: no normalization, as in diffusers
};

// The scale in force at t = 1 - sigma; 0 means that the negative pass is not run.
float cfg_scale_at(const CfgOptions& options, float t);

// pos + scale * (pos - neg) in f32, normalised if asked; one picture, norms over the whole tensor,
// summed in f64. pos, neg: f32 of one shape, which is the result's.
Tensor apply_cfg(const Tensor& pos, const Tensor& neg, float scale, const CfgOptions& options);

}  // namespace zimage
