#pragma once

#include <vector>

#include "core/tensor.h"
#include "io/json.h"

namespace zimage {

// scheduler/scheduler_config.json (FlowMatchEulerDiscreteScheduler). Doubles, as Python reads them:
// the sigmas of diffusers depend on the last bit of a shift like 3.1.
struct SchedulerConfig {
  int num_train_timesteps = 1000;
  double shift = 3.0;
  bool use_dynamic_shifting = false;
  double base_shift = 0.5, max_shift = 1.15;
  int base_image_seq_len = 256, max_image_seq_len = 4096;

  // Throws Error for what is out of range and for options of the class that would change the sigmas
  // or the step in ways this project does not have.
  static SchedulerConfig from_json(const Json& json);
};

enum class ScheduleKind {
  kTerminal,  // diffusers <= 0.38: linspace(1, 0, steps); the last update has dt == 0 and is
              // skipped
  kLiteral,   // diffusers >= 0.39: linspace(1, 1/steps, steps)
};

// steps + 1 sigmas from 1 down to 0, shifted; steps: 1 to 10000. image_seq_len: image tokens
// (h/16 * w/16), used by dynamic shifting only. Arithmetic in the dtypes of diffusers, so that f32
// values are bit-equal.
std::vector<float> make_sigmas(const SchedulerConfig& config, ScheduleKind kind, int steps,
                               int image_seq_len);

// latents + (sigma_next - sigma) * velocity, f32.
Tensor euler_step(const Tensor& latents, const Tensor& velocity, float sigma, float sigma_next);

}  // namespace zimage
