#include "pipeline/denoise.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include "core/check.h"
#include "ops/elementwise.h"
#include "scheduler/flow_match_euler.h"

namespace zimage {
namespace {

std::span<const Branch> branches_at(float cfg_scale) {
  static constexpr std::array kBranches{Branch::kPositive, Branch::kNegative};
  return std::span(kBranches).first(cfg_scale > 0 ? 2 : 1);
}

Tensor guided(const std::vector<Tensor>& outputs, float scale, const CfgOptions& options) {
  return scale > 0 ? apply_cfg(outputs[0], outputs[1], scale, options) : outputs[0];
}

Tensor negated(const Tensor& x) {
  Tensor y = empty(x.shape());
  std::transform(x.data<float>(), x.data<float>() + x.numel(), y.data<float>(), std::negate());
  return y;
}

}  // namespace

// timestep = 1000 * sigma, t = (1000 - timestep) / 1000, all f32.
float model_time(float sigma) { return (1000.0f - 1000.0f * sigma) / 1000.0f; }

int count_updates(const std::vector<float>& sigmas) {
  int updates = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) updates += sigmas[i] != sigmas[i + 1] ? 1 : 0;
  return updates;
}

Tensor denoise(Tensor latents, const DenoiseOptions& options) {
  const std::vector<float>& sigmas = options.sigmas;
  const int steps = count_updates(sigmas);
  CachingDenoiser denoiser(options.denoiser, options.step_cache, steps);
  int step = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    if (sigmas[i] == sigmas[i + 1]) continue;
    ++step;
    const float t = model_time(sigmas[i]);
    const float scale = cfg_scale_at(options.cfg, t);
    const auto [outputs, is_reused] = denoiser(latents, t, branches_at(scale));
    // The model counts time towards the image: its output is the negated velocity.
    const Tensor velocity = negated(guided(outputs, scale, options.cfg));
    check(
        ops::all_finite(velocity), "step ", step, " of ", steps, " (t = ", t,
        "): the transformer's output holds values that are not finite; the weights are damaged or "
        "overflow this compute type, --dtype f32 tells which");
    latents = euler_step(latents, velocity, sigmas[i], sigmas[i + 1]);
    if (options.keep) latents = options.keep(std::move(latents), sigmas[i + 1]);
    check(ops::all_finite(latents), "step ", step, " of ", steps, " (t = ", t,
          "): the latents hold values that are not finite");
    if (options.on_update) options.on_update({step, steps, is_reused});
  }
  return latents;
}

}  // namespace zimage
