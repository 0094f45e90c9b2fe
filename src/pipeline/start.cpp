#include "pipeline/start.h"

#include <algorithm>

#include "core/check.h"

namespace zimage {
namespace {

// FlowMatchEulerDiscreteScheduler.scale_noise: sigma * noise + (1 - sigma) * clean, f32.
Tensor noised(const Tensor& clean, const Tensor& noise, float sigma) {
  Tensor x = empty(clean.shape());
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const float kept = (1.0f - sigma) * clean.data<float>()[i];  // each product rounded by itself
    const float added = sigma * noise.data<float>()[i];
    x.data<float>()[i] = added + kept;
  }
  return x;
}

// (1 - mask) * kept + mask * drawn for a mask of 0 and 1 that all channels share.
Tensor blended(const Tensor& kept, Tensor drawn, const Tensor& mask) {
  const std::int64_t plane = mask.numel();
  for (std::int64_t i = 0; i < drawn.numel(); ++i) {
    if (mask.data<float>()[i % plane] == 0) drawn.data<float>()[i] = kept.data<float>()[i];
  }
  return drawn;
}

}  // namespace

Start start_from_noise(const Shape& shape, std::vector<float> sigmas, NoiseStream noise) {
  return {.latents = noise.randn(shape), .sigmas = std::move(sigmas)};
}

std::vector<float> sigmas_of_strength(const std::vector<float>& sigmas, double strength) {
  const auto steps = static_cast<double>(sigmas.size() - 1);
  const double left = std::min(steps * strength, steps);
  const auto first = static_cast<std::ptrdiff_t>(std::max(steps - left, 0.0));
  return {sigmas.begin() + first, sigmas.end()};
}

Start start_from_image(const VaeConfig& vae, const ImageSource& source, std::vector<float> sigmas,
                       NoiseStream noise) {
  check(!sigmas.empty(), "start_from_image: no sigmas");
  const std::int64_t channels = vae.latent_channels;
  const Shape shape{channels, source.moments.dim(1), source.moments.dim(2)};
  const Tensor clean = sample_latents(vae, source.moments, noise.randn(shape));
  const Tensor added = noise.randn(shape);
  Start start{.latents = noised(clean, added, sigmas.front()), .sigmas = {}};
  start.sigmas = std::move(sigmas);
  if (source.mask.defined()) {
    start.keep = [clean, added, mask = source.mask](Tensor latents, float sigma) {
      return blended(noised(clean, added, sigma), std::move(latents), mask);
    };
  }
  return start;
}

}  // namespace zimage
