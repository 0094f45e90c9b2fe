#pragma once

#include <functional>
#include <vector>

#include "core/tensor.h"
#include "pipeline/cfg.h"
#include "pipeline/step_cache.h"

namespace zimage {

struct Update {
  int step, steps;  // updates done and in all
  bool is_reused;   // the transformer did not run, an earlier output stood in
};

struct DenoiseOptions {
  std::vector<float> sigmas;  // as make_sigmas returns them, or the end of that
  CfgOptions cfg = {};
  Denoiser denoiser = {};  // called for the negative prompt only where cfg_scale_at() is above 0
  StepCacheOptions step_cache = {};
  // What the latents become after an update that led to `sigma`; empty: they stay.
  std::function<Tensor(Tensor latents, float sigma)> keep = {};
  std::function<void(const Update&)> on_update = {};  // throws to stop
};

// t of the model at sigma, in diffusers' order of operations.
float model_time(float sigma);

// Updates that move the latents: steps between equal sigmas are skipped, as they change nothing.
int count_updates(const std::vector<float>& sigmas);

// latents: [channels, h, w] f32 at sigmas.front(). Returns the picture's latents.
// Throws Error naming the step at the first value that is not finite.
Tensor denoise(Tensor latents, const DenoiseOptions& options);

}  // namespace zimage
