#pragma once

#include <vector>

#include "core/tensor.h"
#include "io/json.h"

namespace zimage {

// scheduler/scheduler_config.json (FlowMatchEulerDiscreteScheduler).
struct SchedulerConfig {
  int num_train_timesteps = 1000;
  float shift = 3.0f;
  bool use_dynamic_shifting = false;
  float base_shift = 0.5f, max_shift = 1.15f;
  int base_image_seq_len = 256, max_image_seq_len = 4096;

  static SchedulerConfig from_json(const Json& json);
};

enum class ScheduleKind {
  kTerminal,  // diffusers <= 0.38: linspace(1, 0, steps); the last update has dt == 0 and is skipped
  kLiteral,   // diffusers >= 0.39: linspace(1, 1/steps, steps)
};

// steps + 1 sigmas from 1 down to 0, shifted. image_seq_len: image tokens (h/16 * w/16), used by dynamic
// shifting only. Arithmetic in the dtypes of diffusers, so that f32 values are bit-equal.
std::vector<float> make_sigmas(const SchedulerConfig& config, ScheduleKind kind, int steps,
                               int image_seq_len);

// latents + (sigma_next - sigma) * velocity, f32.
Tensor euler_step(const Tensor& latents, const Tensor& velocity, float sigma, float sigma_next);

}  // namespace zimage
