#pragma once

#include "ops/rope.h"
#include "transformer/transformer.h"

namespace zimage {

struct Transformer::Caption {
  Tensor refined;  // [caption tokens with padding, dim] f32
  int latent_height, latent_width;
  ops::RopeTable image_rope;  // of the image tokens with padding
  ops::RopeTable rope;        // of image and caption
};

}  // namespace zimage
