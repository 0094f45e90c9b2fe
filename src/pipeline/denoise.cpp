#include "pipeline/denoise.h"

#include "core/check.h"
#include "ops/elementwise.h"
#include "scheduler/flow_match_euler.h"

namespace zimage {
namespace {

// In diffusers' order of operations: timestep = 1000 * sigma, t = (1000 - timestep) / 1000, all
// f32.
float model_time(float sigma) { return (1000.0f - 1000.0f * sigma) / 1000.0f; }

Tensor predict(const DenoiseOptions& options, const Tensor& latents, float t) {
  Tensor pos = options.positive(latents, t);
  const float scale = cfg_scale_at(options.cfg, t);
  if (scale <= 0) return pos;
  return apply_cfg(pos, options.negative(latents, t), scale, options.cfg);
}

Tensor negated(Tensor x) {
  float* values = x.data<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = -values[i];
  return x;
}

}  // namespace

int count_updates(const std::vector<float>& sigmas) {
  int updates = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) updates += sigmas[i] != sigmas[i + 1] ? 1 : 0;
  return updates;
}

Tensor denoise(Tensor latents, const DenoiseOptions& options) {
  const std::vector<float>& sigmas = options.sigmas;
  const int steps = count_updates(sigmas);
  int step = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    if (sigmas[i] == sigmas[i + 1]) continue;
    ++step;
    const float t = model_time(sigmas[i]);
    // The model counts time towards the image: its output is the negated velocity.
    const Tensor velocity = negated(predict(options, latents, t));
    check(
        ops::all_finite(velocity), "step ", step, " of ", steps, " (t = ", t,
        "): the transformer's output holds values that are not finite; the weights are damaged or "
        "overflow this compute type, --dtype f32 tells which");
    latents = euler_step(latents, velocity, sigmas[i], sigmas[i + 1]);
    if (options.keep) latents = options.keep(std::move(latents), sigmas[i + 1]);
    check(ops::all_finite(latents), "step ", step, " of ", steps, " (t = ", t,
          "): the latents hold values that are not finite");
    if (options.on_step) options.on_step(step, steps);
  }
  return latents;
}

}  // namespace zimage
