#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/check.h"
#include "layers/surplus.h"
#include "vae/blocks.h"
#include "vae/vae.h"

namespace zimage {
namespace {

// diffusers' Downsample2D with padding 0 pads one zero row below and one zero column on the right.
constexpr ops::Conv2dOptions kHalve{.stride = 2, .pad_bottom = 1, .pad_right = 1};

// Resnets, then half the size by a strided convolution, except in the last block.
class DownBlock {
 public:
  DownBlock(const WeightScope& weights, int in, int out, int resnets, int groups,
            bool downsamples) {
    for (int i = 0; i < resnets; ++i) {
      resnets_.emplace_back(weights / str("resnets.", i), i == 0 ? in : out, out, groups);
    }
    if (downsamples) downsampler_.emplace(weights / "downsamplers.0.conv", out, out, 3, kHalve);
  }

  Tensor operator()(Tensor x, TileNorms* tile) const {
    for (const ResnetBlock& resnet : resnets_) x = resnet(x, tile);
    if (downsampler_) x = (*downsampler_)(x);
    allocator::trim();  // later sizes are others: what is cached would only add to the peak
    return x;
  }

 private:
  std::vector<ResnetBlock> resnets_;
  std::optional<Conv2d> downsampler_;
};

void scale(const VaeConfig& config, Tensor& latents) {
  float* x = latents.data<float>();
  for (std::int64_t i = 0; i < latents.numel(); ++i) {
    x[i] = (x[i] - config.shift_factor) * config.scaling_factor;
  }
}

}  // namespace

struct VaeEncoder::Impl {
  Impl(const VaeConfig& config, const WeightScope& weights)
      : config(config),
        compute(weights.compute()),
        conv_in(weights / "encoder.conv_in", config.in_channels, config.block_out_channels.front(),
                3),
        mid_block(weights / "encoder.mid_block", config.block_out_channels.back(),
                  config.norm_num_groups, config.mid_block_add_attention),
        conv_norm_out(weights / "encoder.conv_norm_out", config.block_out_channels.back(),
                      config.norm_num_groups),
        conv_out(weights / "encoder.conv_out", config.block_out_channels.back(),
                 2 * config.latent_channels, 3) {
    const auto& channels = config.block_out_channels;
    for (std::size_t i = 0; i < channels.size(); ++i) {
      down_blocks.emplace_back(weights / str("encoder.down_blocks.", i),
                               channels[i > 0 ? i - 1 : 0], channels[i], config.layers_per_block,
                               config.norm_num_groups, i + 1 < channels.size());
    }
    if (config.use_quant_conv) {
      quant_conv.emplace(weights / "quant_conv", 2 * config.latent_channels,
                         2 * config.latent_channels, 1);
    }
  }

  Tensor encode(const Tensor& pixels) const {
    return leave(shrink(to_nhwc(pixels, compute), nullptr));
  }

  Tensor encode_in_tiles(const Tensor& pixels, std::int64_t side) const {
    const std::int64_t scale = config.scale();
    const Tensor x = to_nhwc(pixels, compute);
    const std::int64_t height = x.dim(0) / scale, width = x.dim(1) / scale;
    const std::vector<Tile> tiles = tiles_of(height, width, side);
    Mosaic shrunk(config.block_out_channels.back(), height, width, 1);
    TileNorms norms;
    for (int pass = 0; pass <= TileNorms::kPasses; ++pass) {
      norms.begin_pass();
      for (const Tile& tile : tiles) {
        norms.begin_tile(tile);
        const Span rows{tile.rows.begin * scale, tile.rows.end * scale};
        const Span columns{tile.columns.begin * scale, tile.columns.end * scale};
        const Tensor part = shrink(crop(x, rows, columns), &norms);
        if (pass == TileNorms::kPasses) shrunk.add(tile, to_nchw(part));
      }
    }
    return leave(to_nhwc(shrunk.take(), compute));
  }

  // Pixels to the size of the latents.
  Tensor shrink(const Tensor& pixels, TileNorms* tile) const {
    Tensor x = conv_in(pixels);
    for (const DownBlock& block : down_blocks) x = block(std::move(x), tile);
    return x;
  }

  // What happens at that size, to all of it together.
  Tensor leave(const Tensor& shrunk) const {
    Tensor x = conv_out(conv_norm_out.silu(mid_block(shrunk)));
    if (quant_conv) x = (*quant_conv)(x);
    return to_nchw(x);
  }

  VaeConfig config;
  Dtype compute;
  Conv2d conv_in;
  std::vector<DownBlock> down_blocks;
  MidBlock mid_block;
  GroupNorm conv_norm_out;
  Conv2d conv_out;
  std::optional<Conv2d> quant_conv;
};

VaeEncoder::VaeEncoder(const VaeConfig& config, const WeightMap& weights, Dtype compute)
    : impl_(std::make_unique<Impl>(config, WeightScope(weights, compute))) {
  check_no_surplus(weights, [](std::string_view name) {
    return name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
  });
}

VaeEncoder::~VaeEncoder() = default;

Tensor VaeEncoder::moments(const Tensor& pixels, std::int64_t tile) const {
  const int scale = impl_->config.scale();
  check(pixels.rank() == 3 && pixels.dim(0) == 3 && pixels.dtype() == Dtype::kF32 &&
            pixels.dim(1) > 0 && pixels.dim(2) > 0 && pixels.dim(1) % scale == 0 &&
            pixels.dim(2) % scale == 0,
        "vae: pixels are ", pixels.shape(), " ", pixels.dtype(),
        ", expected [3, height, width] F32 with multiples of ", scale);
  return tile == 0 ? impl_->encode(pixels) : impl_->encode_in_tiles(pixels, tile);
}

Tensor mean_latents(const VaeConfig& config, const Tensor& moments) {
  Tensor latents = moments.slice(0, config.latent_channels).clone();
  scale(config, latents);
  return latents;
}

Tensor sample_latents(const VaeConfig& config, const Tensor& moments, const Tensor& noise) {
  Tensor latents = moments.slice(0, config.latent_channels).clone();
  check(noise.shape() == latents.shape() && noise.dtype() == Dtype::kF32, "vae: noise is ",
        noise.shape(), " ", noise.dtype(), ", expected ", latents.shape(), " F32");
  const float* log_variance = moments.data<float>() + latents.numel();
  float* x = latents.data<float>();
  for (std::int64_t i = 0; i < latents.numel(); ++i) {
    constexpr float kLowest = -30, kHighest = 20;  // diffusers' DiagonalGaussianDistribution
    const float deviation = std::exp(0.5f * std::clamp(log_variance[i], kLowest, kHighest));
    const float change = deviation * noise.data<float>()[i];  // rounded by itself, as in torch
    x[i] += change;
  }
  scale(config, latents);
  return latents;
}

}  // namespace zimage
