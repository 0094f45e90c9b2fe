// Pictures to tensors and back as diffusers' VaeImageProcessor does it.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "io/gray_image.h"
#include "zimage/image.h"

namespace zimage {

// [3, h, w] f32 in [-1, 1] to 8 bits: x / 2 + 0.5, clamp, round.
Image to_image(const Tensor& pixels);

// Resized by Lanczos-3 where the size differs, then [3, height, width] f32: 2 * value / 255 - 1.
Tensor to_pixels(const Image& image, int width, int height);

// Which part of a picture is drawn anew: where it is 128 and brighter.
using Mask = GrayImage;
inline bool is_repainted(std::uint8_t mask) { return mask >= 128; }

// Resized by Lanczos-3, then to luminance as Pillow's mode L (ITU-R 601).
Mask to_mask(const Image& image, int width, int height);

// `pixels` with 0 (mid grey) where the mask repaints.
Tensor without_repainted(const Tensor& pixels, const Mask& mask);

// [1, h, w] f32 of 0 and 1 (1: repaint), each the mask's pixel at the upper left of its cell, as
// torch's nearest interpolation takes it. h and w divide the mask's sizes.
Tensor mask_of_latents(const Mask& mask, int latent_height, int latent_width);

// The original where the mask is black, the drawn one where it is white, between them in grey.
Image composite(const Image& original, const Image& drawn, const Mask& mask);

}  // namespace zimage
