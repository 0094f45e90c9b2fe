#include <cmath>
#include <string>

#include "core/check.h"
#include "scheduler/flow_match_euler.h"

namespace zimage {
namespace {

// A switch of the class that must be off here.
void check_off(const Json& json, const char* key) {
  check(!json.get_or(key, false), json.where(), ": ", key, " is true, which is not supported");
}

void check_supported(const Json& json) {
  constexpr const char* kClass = "FlowMatchEulerDiscreteScheduler";
  const auto name = json.get_or<std::string>("_class_name", kClass);
  check(name == kClass, json.where(), ": _class_name is ", name, ", expected ", kClass);
  for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                          "invert_sigmas", "stochastic_sampling"}) {
    check_off(json, key);
  }
  // diffusers ignores a shift_terminal of 0 as well.
  const double terminal = json.get_or("shift_terminal", 0.0);
  check(terminal == 0, json.where(), ": shift_terminal is ", terminal, ", expected null");
  const auto type = json.get_or<std::string>("time_shift_type", "exponential");
  check(type == "exponential", json.where(), ": time_shift_type is ", type,
        ", expected exponential");
}

double get_in(const Json& json, const char* key, double fallback, double min, double max) {
  const double value = json.get_or(key, fallback);
  check(value >= min && value <= max, json.where(), ": ", key, " is ", value, ", expected ", min,
        " to ", max);
  return value;
}

}  // namespace

SchedulerConfig SchedulerConfig::from_json(const Json& json) {
  check_supported(json);
  const SchedulerConfig config{
      .num_train_timesteps = json.get_or("num_train_timesteps", 1000),
      .shift = get_in(json, "shift", 1.0, 0.01, 1000),
      .use_dynamic_shifting = json.get_or("use_dynamic_shifting", false),
      .base_shift = get_in(json, "base_shift", 0.5, -20, 20),
      .max_shift = get_in(json, "max_shift", 1.15, -20, 20),
      .base_image_seq_len = json.get_or("base_image_seq_len", 256),
      .max_image_seq_len = json.get_or("max_image_seq_len", 4096),
  };
  // The pipeline of diffusers turns timesteps into model time by a fixed 1000.
  check(config.num_train_timesteps == 1000, json.where(), ": num_train_timesteps is ",
        config.num_train_timesteps, ", expected 1000");
  check(config.base_image_seq_len > 0 && config.max_image_seq_len > config.base_image_seq_len,
        json.where(), ": base_image_seq_len ", config.base_image_seq_len, " and max_image_seq_len ",
        config.max_image_seq_len, " are not in ascending order above 0");
  return config;
}

}  // namespace zimage
