#pragma once

#include "core/tensor.h"

namespace zimage {

// [channels, height, width] f32 to [tokens, patch * patch * channels] of `dtype`: tokens row by
// row, the features of a token ordered (row in patch, column in patch, channel).
Tensor patchify(const Tensor& latents, int patch, Dtype dtype);

// The way back: [tokens, patch * patch * channels] f32 to [channels, height, width] f32.
Tensor unpatchify(const Tensor& tokens, int patch, int height, int width);

}  // namespace zimage
