#include "pipeline/control_context.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/check.h"
#include "pipeline/pixels.h"

namespace zimage {
namespace {

// Rows from `channel` on become those of `source`, [n, h, w].
void put(Tensor& context, std::int64_t channel, const Tensor& source) {
  const std::int64_t plane = context.dim(1) * context.dim(2);
  std::memcpy(context.data<float>() + channel * plane, source.raw(), source.bytes());
}

Tensor inverted(const Tensor& mask) {
  Tensor kept = empty(mask.shape());
  std::transform(mask.data<float>(), mask.data<float>() + mask.numel(), kept.data<float>(),
                 [](float repaint) { return 1 - repaint; });
  return kept;
}

}  // namespace

Tensor control_context(const ControlInputs& inputs, const VaeEncoder& encoder, const VaeConfig& vae,
                       int channels, int width, int height, int tile) {
  const int h = height / vae.scale(), w = width / vae.scale();
  Tensor context = zeros({channels, h, w});
  const auto encode = [&](const Tensor& pixels) {
    return mean_latents(vae, encoder.moments(pixels, tile));
  };
  if (inputs.image) put(context, 0, encode(to_pixels(*inputs.image, width, height)));
  std::optional<Mask> mask;
  if (inputs.mask) {
    mask = to_mask(*inputs.mask, width, height);
    put(context, vae.latent_channels, inverted(mask_of_latents(*mask, h, w)));
  }
  if (inputs.inpaint_image) {
    Tensor pixels = to_pixels(*inputs.inpaint_image, width, height);
    if (mask) pixels = without_repainted(pixels, *mask);
    put(context, vae.latent_channels + 1, encode(pixels));
  }
  return context;
}

void check_control_inputs(const ControlInputs& inputs, const VaeConfig& vae, int channels) {
  const int plain = vae.latent_channels, whole = 2 * plain + 1;
  check(channels == plain || channels == whole, "control network: ", channels,
        " input channels, expected ", plain, " or ", whole, " for this VAE");
  check_usage(channels == whole || (!inputs.mask && !inputs.inpaint_image),
              inputs.mask ? "--mask" : "--inpaint-image",
              ": this control network (1.0) takes a control image only; 2.0 and later inpaint");
}

}  // namespace zimage
