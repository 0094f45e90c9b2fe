// Where the denoise loop starts: pure noise, or a picture noised up to a point of the schedule.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "pipeline/noise.h"
#include "vae/vae.h"

namespace zimage {

struct Start {
  Tensor latents;             // [channels, h, w] f32
  std::vector<float> sigmas;  // the rest of the schedule, from the latents' own sigma to 0
  // Puts the kept part of the picture back after an update that led to `sigma`; empty: all is
  // drawn.
  std::function<Tensor(Tensor latents, float sigma)> keep = {};
};

Start start_from_noise(const Shape& shape, std::vector<float> sigmas, NoiseStream noise);

// The points of the schedule that `strength` (0 to 1) leaves, as diffusers' get_timesteps: the last
// strength * steps of them, steps being sigmas.size() - 1.
std::vector<float> sigmas_of_strength(const std::vector<float>& sigmas, double strength);

// A picture as the VAE's encoder sees it, and which of its latents are drawn anew.
struct ImageSource {
  Tensor moments;  // of VaeEncoder
  Tensor mask;     // [1, h, w] f32: 1 repaint, 0 keep; undefined: repaint all
};

// Latents sampled from the source and noised to sigmas.front(), as ZImageImg2ImgPipeline and, with
// a mask, ZImageInpaintPipeline of diffusers do it. Two tensors are drawn from `noise`, the
// encoder's first.
Start start_from_image(const VaeConfig& vae, const ImageSource& source, std::vector<float> sigmas,
                       NoiseStream noise);

}  // namespace zimage
