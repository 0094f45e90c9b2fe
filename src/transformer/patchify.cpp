#include "transformer/patchify.h"

#include "core/parallel.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

// Calls visit(feature, pixel) for the flat indices of every value in the layouts
// [tokens, patch, patch, channels] and [channels, height, width].
template <class Visit>
void visit_patches(std::int64_t channels, std::int64_t height, std::int64_t width,
                   std::int64_t patch, const Visit& visit) {
  const std::int64_t row_values = patch * width * channels;  // of one row of tokens
  parallel_for(height / patch, [&](std::int64_t row) {
    std::int64_t feature = row * row_values;
    for (std::int64_t x0 = 0; x0 < width; x0 += patch) {
      for (std::int64_t y = row * patch; y < (row + 1) * patch; ++y) {
        for (std::int64_t x = x0; x < x0 + patch; ++x) {
          for (std::int64_t c = 0; c < channels; ++c)
            visit(feature++, (c * height + y) * width + x);
        }
      }
    }
  });
}

}  // namespace

Tensor patchify(const Tensor& latents, int patch, Dtype dtype) {
  const auto channels = latents.dim(0), height = latents.dim(1), width = latents.dim(2);
  Tensor tokens = empty({(height / patch) * (width / patch), patch * patch * channels});
  const float* from = latents.data<float>();
  float* to = tokens.data<float>();
  visit_patches(channels, height, width, patch,
                [&](std::int64_t feature, std::int64_t pixel) { to[feature] = from[pixel]; });
  return ops::cast(tokens, dtype);
}

Tensor unpatchify(const Tensor& tokens, int patch, int height, int width) {
  const auto channels = tokens.dim(1) / (patch * patch);
  Tensor latents = empty({channels, height, width});
  const float* from = tokens.data<float>();
  float* to = latents.data<float>();
  visit_patches(channels, height, width, patch,
                [&](std::int64_t feature, std::int64_t pixel) { to[pixel] = from[feature]; });
  return latents;
}

}  // namespace zimage
