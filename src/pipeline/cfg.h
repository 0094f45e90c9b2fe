#pragma once

#include "core/tensor.h"

namespace zimage {

// Classifier-free guidance as in diffusers' ZImagePipeline.
struct CfgOptions {
  float scale = 0;               // 0: off
  float truncation = 1;          // where t = 1 - sigma exceeds it, scale counts as 0; > 1 or == 1: never
  bool normalization = false;    // ||pred|| is limited to factor * ||pos||
  float normalization_factor = 1;
};

// The scale in force at t = 1 - sigma; 0 means that the negative pass is not run.
float cfg_scale_at(const CfgOptions& options, float t);

// pos + scale * (pos - neg), normalised if asked; one picture, norms over the whole tensor in f32.
Tensor apply_cfg(const Tensor& pos, const Tensor& neg, float scale, const CfgOptions& options);

}  // namespace zimage
