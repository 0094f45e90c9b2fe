#pragma once

#include <memory>
#include <vector>

#include "io/json.h"
#include "layers/weights.h"

namespace zimage {

// AutoencoderKL of diffusers as the Flux family uses it. Decoder and encoder each take only their
// own tensors, converted once to the compute dtype. With Dtype::kBf16 activations between layers
// are stored as bf16; sums in convolutions, projections and attention are f32, statistics of norms
// f64. Latents are scaled in f32. The peak of both is the first resnet at full size: its input, the
// input normalised and the first convolution's output.

// vae/config.json (AutoencoderKL).
struct VaeConfig {
  int in_channels, out_channels, latent_channels, layers_per_block, norm_num_groups;
  std::vector<int> block_out_channels;
  float scaling_factor, shift_factor;
  bool mid_block_add_attention, use_quant_conv, use_post_quant_conv;

  static VaeConfig from_json(const Json& json);
  // Pixels per latent pixel, in each direction.
  int scale() const { return 1 << (static_cast<int>(block_out_channels.size()) - 1); }
};

// Latents to pixels.
class VaeDecoder {
 public:
  VaeDecoder(const VaeConfig& config, const WeightMap& weights, Dtype compute);
  ~VaeDecoder();
  // latents: [latent_channels, h, w] f32 as the denoise loop leaves them (this divides by
  // scaling_factor and adds shift_factor). Returns [3, h * scale, w * scale] f32, about -1 to 1.
  // tile: 0, or side of the tiles in latent pixels (vae/tiles.h): in less memory nearly the same.
  Tensor operator()(const Tensor& latents, std::int64_t tile = 0) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

// Pixels to latents.
class VaeEncoder {
 public:
  VaeEncoder(const VaeConfig& config, const WeightMap& weights, Dtype compute);
  ~VaeEncoder();
  // pixels: [3, H, W] f32, -1 to 1, H and W multiples of scale(). Returns the distribution's
  // moments [2 * latent_channels, H / scale, W / scale] f32: mean, then log variance, unscaled.
  // tile: as in VaeDecoder.
  Tensor moments(const Tensor& pixels, std::int64_t tile = 0) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

// Latents as the transformer knows them, (x - shift_factor) * scaling_factor, of what moments()
// returned, [latent_channels, h, w] f32: of the distribution's mean, or of a sample,
// mean + exp(log variance / 2) * noise. noise: [latent_channels, h, w] f32.
Tensor mean_latents(const VaeConfig& config, const Tensor& moments);
Tensor sample_latents(const VaeConfig& config, const Tensor& moments, const Tensor& noise);

}  // namespace zimage
