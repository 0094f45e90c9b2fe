#pragma once

#include <functional>
#include <vector>

#include "core/tensor.h"
#include "pipeline/cfg.h"

namespace zimage {

// The transformer with everything but latents and time bound to it. latents: [channels, h, w] f32;
// t: 1 - sigma. Returns the negated velocity, same shape, f32.
using Denoiser = std::function<Tensor(const Tensor& latents, float t)>;

struct DenoiseOptions {
  std::vector<float> sigmas;  // from 1 down to 0, as make_sigmas returns them
  CfgOptions cfg = {};
  Denoiser positive = {};
  Denoiser negative = {};  // called only where cfg_scale_at() is above 0
  std::function<void(int step, int steps)> on_step = {};  // after each update; throws to stop
};

// Updates that move the latents: steps between equal sigmas are skipped, as they change nothing.
int count_updates(const std::vector<float>& sigmas);

// latents: [channels, h, w] f32 noise. Returns the picture's latents.
// Throws Error naming the step at the first value that is not finite.
Tensor denoise(Tensor latents, const DenoiseOptions& options);

}  // namespace zimage
