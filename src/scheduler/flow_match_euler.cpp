#include "scheduler/flow_match_euler.h"

#include <cmath>

#include "core/check.h"

namespace zimage {
namespace {

constexpr int kMaxSteps = 10000;

// numpy.linspace, with its order of operations.
std::vector<double> linspace(double start, double stop, int count) {
  std::vector<double> points(static_cast<std::size_t>(count), start);
  if (count == 1) return points;
  const double step = (stop - start) / (count - 1);
  for (int i = 0; i < count; ++i) {
    const double offset = i * step;
    points[i] = offset + start;
  }
  points.back() = stop;
  return points;
}

// T: double where diffusers keeps its own linspace, float where it is handed sigmas.
template <class T>
T shift_static(double shift, T sigma) {
  const T product = static_cast<T>(shift - 1) * sigma;
  return static_cast<T>(shift) * sigma / (1 + product);
}

template <class T>
T shift_dynamic(double mu, T sigma) {
  const T scale = static_cast<T>(std::exp(mu));
  return scale / (scale + (1 / sigma - 1));  // 1 / 0 is infinite, which gives the 0 it should
}

template <class T>
T shift(const SchedulerConfig& config, double mu, T sigma) {
  return config.use_dynamic_shifting ? shift_dynamic(mu, sigma) : shift_static(config.shift, sigma);
}

// Linear between (base_image_seq_len, base_shift) and (max_image_seq_len, max_shift).
double mu_of(const SchedulerConfig& config, int image_seq_len) {
  const double slope = (config.max_shift - config.base_shift) /
                       (config.max_image_seq_len - config.base_image_seq_len);
  const double offset = slope * config.base_image_seq_len;
  const double product = image_seq_len * slope;
  return product + (config.base_shift - offset);
}

// 1, but for a rounding: diffusers shifts its whole training schedule in f32 to find it.
double sigma_max(const SchedulerConfig& config) {
  return config.use_dynamic_shifting ? 1.0 : shift_static(config.shift, 1.0f);
}

std::vector<float> terminal_sigmas(const SchedulerConfig& config, int steps, double mu) {
  const int scale = config.num_train_timesteps;
  std::vector<float> sigmas;
  for (const double timestep : linspace(sigma_max(config) * scale, 0, steps)) {
    sigmas.push_back(static_cast<float>(shift(config, mu, timestep / scale)));
  }
  return sigmas;
}

std::vector<float> literal_sigmas(const SchedulerConfig& config, int steps, double mu) {
  std::vector<float> sigmas;
  for (const double sigma : linspace(1, 1.0 / steps, steps)) {
    sigmas.push_back(shift(config, mu, static_cast<float>(sigma)));
  }
  return sigmas;
}

}  // namespace

std::vector<float> make_sigmas(const SchedulerConfig& config, ScheduleKind kind, int steps,
                               int image_seq_len) {
  check(steps >= 1 && steps <= kMaxSteps, "make_sigmas: ", steps, " steps, expected 1 to ",
        kMaxSteps);
  const double mu = config.use_dynamic_shifting ? mu_of(config, image_seq_len) : 0;
  std::vector<float> sigmas = kind == ScheduleKind::kTerminal ? terminal_sigmas(config, steps, mu)
                                                              : literal_sigmas(config, steps, mu);
  for (const float sigma : sigmas) {
    check(std::isfinite(sigma), "make_sigmas: no finite sigmas for shift ", config.shift,
          ", dynamic shift ", mu);
  }
  sigmas.push_back(0.0f);
  return sigmas;
}

Tensor euler_step(const Tensor& latents, const Tensor& velocity, float sigma, float sigma_next) {
  check(velocity.shape() == latents.shape(), "euler_step: velocity ", velocity.shape(),
        " does not fit latents ", latents.shape());
  check(latents.dtype() == Dtype::kF32 && velocity.dtype() == Dtype::kF32, "euler_step: latents ",
        latents.dtype(), " and velocity ", velocity.dtype(), ", expected F32");
  const float dt = sigma_next - sigma;
  Tensor next = empty(latents.shape());
  const float* x = latents.data<float>();
  const float* v = velocity.data<float>();
  float* y = next.data<float>();
  for (std::int64_t i = 0; i < next.numel(); ++i) {
    const float change = dt * v[i];  // rounded by itself, as in torch
    y[i] = x[i] + change;
  }
  return next;
}

}  // namespace zimage
