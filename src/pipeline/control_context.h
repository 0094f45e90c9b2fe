#pragma once

#include "vae/vae.h"
#include "zimage/pipeline.h"

namespace zimage {

// What a control network is shown, [channels, h, w] f32 in latent pixels. With 16 latent channels:
// channels 0-15 the control picture's latents; in networks of 33 channels 16 is 1 where the mask
// keeps, and 17-32 are the latents of the inpaint picture without its repainted part. What is not
// given is 0. Latents are means, not samples. width, height: pixels of the picture to draw, to
// which the inputs are resized. As ZImageControlNetPipeline and ZImageControlNetInpaintPipeline of
// diffusers.
Tensor control_context(const ControlInputs& inputs, const VaeEncoder& encoder, const VaeConfig& vae,
                       int channels, int width, int height, int tile);

// Throws UsageError for inputs that a network of so many channels does not have.
void check_control_inputs(const ControlInputs& inputs, const VaeConfig& vae, int channels);

}  // namespace zimage
