#include "transformer/controlnet.h"

#include "core/check.h"
#include "layers/surplus.h"
#include "transformer/patchify.h"
#include "transformer/sequence.h"

namespace zimage {
namespace {

using Refiner = ControlNetConfig::Refiner;

std::optional<ControlStack> load_refiner(const WeightScope& weights, const ControlNetConfig& config,
                                         const TransformerConfig& transformer) {
  if (config.refiner == Refiner::kControlLayers) return {};
  const auto kind =
      config.refiner == Refiner::kOwn ? ControlStack::Kind::kHinting : ControlStack::Kind::kPlain;
  return ControlStack(weights / "control_noise_refiner", transformer, transformer.n_refiner_layers,
                      kind);
}

}  // namespace

struct ControlNet::Impl {
  Impl(const ControlNetConfig& config, const TransformerConfig& transformer, const WeightMap& map,
       const WeightScope& weights)
      : config(config),
        patch_size(transformer.patch_size),
        embedder(weights / "control_all_x_embedder" / "2-1",
                 transformer.patch_size * transformer.patch_size * config.in_channels,
                 transformer.dim, Linear::Bias::kPresent),
        noise_refiner(load_refiner(weights, config, transformer)),
        layers(weights / "control_layers", transformer,
               static_cast<int>(config.layer_places.size()), ControlStack::Kind::kHinting),
        compute(weights.compute()) {
    // The published 2.0 files hold refiner blocks that were never trained; diffusers drops them.
    check_no_surplus(map, [&](std::string_view name) {
      return !noise_refiner && name.starts_with("control_noise_refiner.");
    });
  }

  const ControlStack& refiner() const { return noise_refiner ? *noise_refiner : layers; }

  ControlNetConfig config;
  int patch_size;
  Linear embedder;
  std::optional<ControlStack> noise_refiner;  // none with kControlLayers
  ControlStack layers;
  Dtype compute;
};

ControlNet::ControlNet(const ControlNetConfig& config, const TransformerConfig& transformer,
                       const WeightMap& weights, Dtype compute)
    : impl_(std::make_unique<const Impl>(config, transformer, weights,
                                         WeightScope(weights, compute))) {}

ControlNet::~ControlNet() = default;

const ControlNetConfig& ControlNet::config() const { return impl_->config; }

ControlContext ControlNet::prepare(const Tensor& latents, const Tensor& x_pad_token) const {
  const auto channels = impl_->config.in_channels, patch = impl_->patch_size;
  check(latents.rank() == 3 && latents.dim(0) == channels && latents.dtype() == Dtype::kF32,
        "controlnet: latents are ", latents.shape(), " ", latents.dtype(), ", expected [", channels,
        ", height, width] F32");
  const auto height = static_cast<int>(latents.dim(1)), width = static_cast<int>(latents.dim(2));
  check(height > 0 && width > 0 && height % patch == 0 && width % patch == 0,
        "controlnet: latents of ", height, " x ", width, ", expected multiples of ", patch);

  const Tensor embedded = impl_->embedder(patchify(latents, patch, impl_->compute), Dtype::kF32);
  return {.tokens = impl_->refiner().project(pad_rows(embedded, x_pad_token)),
          .latent_height = height,
          .latent_width = width};
}

ControlHints ControlNet::refiner_hints(const Tensor& c, const Tensor& x, const Sequences& sequences,
                                       const Step& step) const {
  return {impl_->refiner(), impl_->config.refiner_places, c, x, sequences, step};
}

ControlHints ControlNet::layer_hints(const Tensor& c, const Tensor& x, const Sequences& sequences,
                                     const Step& step) const {
  return {impl_->layers, impl_->config.layer_places, impl_->layers.project(c), x, sequences, step};
}

}  // namespace zimage
