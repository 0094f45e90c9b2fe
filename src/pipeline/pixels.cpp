#include "pipeline/pixels.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "io/resize.h"

namespace zimage {

Image to_image(const Tensor& pixels) {
  const auto height = pixels.dim(1), width = pixels.dim(2);
  Image image{static_cast<int>(width), static_cast<int>(height), {}};
  image.pixels.resize(static_cast<std::size_t>(width * height * 3));
  const std::int64_t plane = width * height;
  const float* x = pixels.data<float>();
  for (std::int64_t i = 0; i < plane; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float value = std::clamp(x[c * plane + i] / 2 + 0.5f, 0.0f, 1.0f);
      image.pixels[i * 3 + c] = static_cast<std::uint8_t>(std::nearbyint(value * 255));
    }
  }
  return image;
}

Tensor to_pixels(const Image& image, int width, int height) {
  const Image fitting = resize_lanczos(image, width, height);
  Tensor pixels = empty({3, height, width});
  const std::int64_t plane = std::int64_t{height} * width;
  float* x = pixels.data<float>();
  for (std::int64_t i = 0; i < plane; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float unit = static_cast<float>(fitting.pixels[i * 3 + c]) / 255.0f;
      x[c * plane + i] = 2.0f * unit - 1.0f;
    }
  }
  return pixels;
}

Mask to_mask(const Image& image, int width, int height) {
  const Image fitting = resize_lanczos(image, width, height);
  Mask mask{width, height, {}};
  mask.pixels.reserve(fitting.pixels.size() / 3);
  for (std::size_t i = 0; i < fitting.pixels.size(); i += 3) {
    const std::uint8_t* rgb = fitting.pixels.data() + i;
    constexpr std::uint32_t kRed = 19595, kGreen = 38470, kBlue = 7471;  // of 2^16
    const std::uint32_t luminance = rgb[0] * kRed + rgb[1] * kGreen + rgb[2] * kBlue + 0x8000;
    mask.pixels.push_back(static_cast<std::uint8_t>(luminance >> 16));
  }
  return mask;
}

Tensor without_repainted(const Tensor& pixels, const Mask& mask) {
  check(pixels.dim(1) == mask.height && pixels.dim(2) == mask.width, "a mask of ", mask.width,
        " x ", mask.height, " pixels for a picture of ", pixels.shape());
  Tensor kept = pixels.clone();
  const std::size_t plane = mask.pixels.size();
  for (std::size_t i = 0; i < plane; ++i) {
    if (!is_repainted(mask.pixels[i])) continue;
    for (std::size_t c = 0; c < 3; ++c) kept.data<float>()[c * plane + i] = 0;
  }
  return kept;
}

Tensor mask_of_latents(const Mask& mask, int latent_height, int latent_width) {
  const int cell_height = mask.height / latent_height, cell_width = mask.width / latent_width;
  Tensor cells = empty({1, latent_height, latent_width});
  float* cell = cells.data<float>();
  for (int y = 0; y < latent_height; ++y) {
    for (int x = 0; x < latent_width; ++x) {
      const auto row = static_cast<std::size_t>(y) * static_cast<std::size_t>(cell_height);
      const auto column = static_cast<std::size_t>(x) * static_cast<std::size_t>(cell_width);
      const std::size_t pixel = row * static_cast<std::size_t>(mask.width) + column;
      *cell++ = is_repainted(mask.pixels[pixel]) ? 1.0f : 0.0f;
    }
  }
  return cells;
}

Image composite(const Image& original, const Image& drawn, const Mask& mask) {
  Image result = drawn;
  for (std::size_t i = 0; i < mask.pixels.size(); ++i) {
    const int share = mask.pixels[i];
    for (std::size_t c = 0; c < 3; ++c) {
      const int mixed =
          original.pixels[3 * i + c] * (255 - share) + drawn.pixels[3 * i + c] * share;
      result.pixels[3 * i + c] = static_cast<std::uint8_t>((mixed + 127) / 255);
    }
  }
  return result;
}

}  // namespace zimage
