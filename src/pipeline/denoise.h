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
  std::vector<float> sigmas;  // as make_sigmas returns them, or the end of that
  CfgOptions cfg = {};
  Denoiser positive = {};
  Denoiser negative = {};  // called only where cfg_scale_at() is above 0
  // What the latents become after an update that led to `sigma`; empty: they stay.
  std::function<Tensor(Tensor latents, float sigma)> keep = {};
  std::function<void(int step, int steps)> on_step = {};  // after each update; throws to stop
};

// Updates that move the latents: steps between equal sigmas are skipped, as they change nothing.
int count_updates(const std::vector<float>& sigmas);

// latents: [channels, h, w] f32 at sigmas.front(). Returns the picture's latents.
// Throws Error naming the step at the first value that is not finite.
Tensor denoise(Tensor latents, const DenoiseOptions& options);

}  // namespace zimage
