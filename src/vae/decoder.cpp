#include "core/allocator.h"
#include "core/check.h"
#include "layers/surplus.h"
#include "vae/blocks.h"
#include "vae/vae.h"

namespace zimage {
namespace {

// Resnets, then twice the size by nearest neighbours and a convolution, except in the last block.
class UpBlock {
 public:
  UpBlock(const WeightScope& weights, int in, int out, int resnets, int groups, bool upsamples) {
    for (int i = 0; i < resnets; ++i) {
      resnets_.emplace_back(weights / str("resnets.", i), i == 0 ? in : out, out, groups);
    }
    if (upsamples) upsampler_.emplace(weights / "upsamplers.0.conv", out);
  }

  Tensor operator()(Tensor x, TileNorms* tile) const {
    for (const ResnetBlock& resnet : resnets_) x = resnet(x, tile);
    if (upsampler_) x = (*upsampler_)(x);
    allocator::trim();  // later sizes are others: what is cached would only add to the peak
    return x;
  }

 private:
  std::vector<ResnetBlock> resnets_;
  std::optional<UpsampleConv2d> upsampler_;
};

}  // namespace

struct VaeDecoder::Impl {
  Impl(const VaeConfig& config, const WeightScope& weights)
      : config(config),
        compute(weights.compute()),
        conv_in(weights / "decoder.conv_in", config.latent_channels,
                config.block_out_channels.back(), 3),
        mid_block(weights / "decoder.mid_block", config.block_out_channels.back(),
                  config.norm_num_groups, config.mid_block_add_attention),
        conv_norm_out(weights / "decoder.conv_norm_out", config.block_out_channels.front(),
                      config.norm_num_groups),
        conv_out(weights / "decoder.conv_out", config.block_out_channels.front(),
                 config.out_channels, 3) {
    const auto& channels = config.block_out_channels;
    const int blocks = static_cast<int>(channels.size());
    for (int i = 0, in = channels.back(); i < blocks; in = channels[blocks - 1 - i], ++i) {
      up_blocks.emplace_back(weights / str("decoder.up_blocks.", i), in, channels[blocks - 1 - i],
                             config.layers_per_block + 1, config.norm_num_groups, i + 1 < blocks);
    }
    if (config.use_post_quant_conv) {
      post_quant_conv.emplace(weights / "post_quant_conv", config.latent_channels,
                              config.latent_channels, 1);
    }
  }

  // latents as the denoise loop leaves them, to the distribution the decoder was trained on.
  Tensor unscaled(const Tensor& latents) const {
    Tensor x = empty(latents.shape());
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      x.data<float>()[i] = latents.data<float>()[i] / config.scaling_factor + config.shift_factor;
    }
    return x;
  }

  Tensor decode(const Tensor& latents) const { return grow(enter(latents), nullptr); }

  Tensor decode_in_tiles(const Tensor& latents, std::int64_t side) const {
    const Tensor x = enter(latents);
    allocator::trim();
    const std::vector<Tile> tiles = tiles_of(x.dim(0), x.dim(1), side);
    Mosaic picture(config.out_channels, x.dim(0), x.dim(1), config.scale());
    TileNorms norms;
    for (int pass = 0; pass <= TileNorms::kPasses; ++pass) {
      norms.begin_pass();
      for (const Tile& tile : tiles) {
        norms.begin_tile(tile);
        const Tensor pixels = grow(crop(x, tile.rows, tile.columns), &norms);
        if (pass == TileNorms::kPasses) picture.add(tile, pixels);
      }
    }
    return picture.take();
  }

  // What happens at the size of the latents, all of them together.
  Tensor enter(const Tensor& latents) const {
    Tensor x = to_nhwc(unscaled(latents), compute);
    if (post_quant_conv) x = (*post_quant_conv)(x);
    return mid_block(conv_in(x));
  }

  // From there to pixels.
  Tensor grow(Tensor x, TileNorms* tile) const {
    for (const UpBlock& block : up_blocks) x = block(std::move(x), tile);
    x = conv_norm_out.silu(x, tile);
    x = conv_out(x);
    return to_nchw(x);
  }

  VaeConfig config;
  Dtype compute;
  std::optional<Conv2d> post_quant_conv;
  Conv2d conv_in;
  MidBlock mid_block;
  std::vector<UpBlock> up_blocks;
  GroupNorm conv_norm_out;
  Conv2d conv_out;
};

VaeDecoder::VaeDecoder(const VaeConfig& config, const WeightMap& weights, Dtype compute)
    : impl_(std::make_unique<Impl>(config, WeightScope(weights, compute))) {
  check_no_surplus(weights, [](std::string_view name) {
    return name.starts_with("encoder.") || name.starts_with("quant_conv.");
  });
}

VaeDecoder::~VaeDecoder() = default;

Tensor VaeDecoder::operator()(const Tensor& latents, std::int64_t tile) const {
  check(latents.rank() == 3 && latents.dim(0) == impl_->config.latent_channels &&
            latents.dim(1) > 0 && latents.dim(2) > 0 && latents.dtype() == Dtype::kF32,
        "vae: latents are ", latents.shape(), " ", latents.dtype(), ", expected [",
        impl_->config.latent_channels, ", height, width] F32");
  return tile == 0 ? impl_->decode(latents) : impl_->decode_in_tiles(latents, tile);
}

}  // namespace zimage
