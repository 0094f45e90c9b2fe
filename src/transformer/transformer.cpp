#include "transformer/transformer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>
#include <vector>

#include "core/check.h"
#include "layers/layer_list.h"
#include "layers/norm.h"
#include "layers/surplus.h"
#include "ops/elementwise.h"
#include "transformer/batch.h"
#include "transformer/caption.h"
#include "transformer/controlnet.h"
#include "transformer/final_layer.h"
#include "transformer/patchify.h"
#include "transformer/rope_embedder.h"
#include "transformer/sequence.h"
#include "transformer/step.h"
#include "transformer/timestep_embedder.h"
#include "transformer/transformer_block.h"

namespace zimage {
namespace {

// RMSNorm and projection of the prompt embeddings.
class CaptionEmbedder {
 public:
  CaptionEmbedder(const WeightScope& weights, const TransformerConfig& config)
      : norm_(weights / "0", config.cap_feat_dim, config.norm_eps, weights.compute()),
        linear_(weights / "1", config.cap_feat_dim, config.dim, Linear::Bias::kPresent) {}

  Tensor operator()(const Tensor& x) const { return linear_(norm_(x), Dtype::kF32); }

 private:
  RmsNorm norm_;
  Linear linear_;
};

template <class Block>
LayerList<Block> load_blocks(const WeightScope& weights, const TransformerConfig& config,
                             int count) {
  return {weights, count, [config](const WeightScope& block) { return Block(block, config); }};
}

ops::RopeTable concat(const ops::RopeTable& a, const ops::RopeTable& b) {
  return {concat(a.cos, b.cos), concat(a.sin, b.sin)};
}

void check_positions(const TransformerConfig& config, std::int64_t caption_tokens, int height,
                     int width) {
  const int patch = config.patch_size;
  check(height > 0 && width > 0 && height % patch == 0 && width % patch == 0,
        "transformer: latents of ", height, " x ", width, ", expected multiples of ", patch);
  const auto& lens = config.axes_lens;
  check(height / patch <= lens[1] && width / patch <= lens[2], "transformer: latents of ", height,
        " x ", width, " exceed the largest size, ", std::int64_t{lens[1]} * patch, " x ",
        std::int64_t{lens[2]} * patch, " (height x width, from axes_lens)");
  // The padded caption takes the frames 1, 2, ...; the image the one after it.
  const std::int64_t longest = (lens[0] - 2) / kSequenceMultiple * kSequenceMultiple;
  check(caption_tokens <= longest, "transformer: a prompt of ", caption_tokens,
        " tokens exceeds the longest, ", longest > 0 ? longest : 0, " (from axes_lens)");
}

void check_control(const Control& control, const Transformer::Caption& caption) {
  const auto& context = control.context;
  check(std::isfinite(control.scale), "transformer: the control scale is ", control.scale,
        ", expected a number");
  check(context.latent_height == caption.latent_height &&
            context.latent_width == caption.latent_width,
        "transformer: the control context is for latents of ", context.latent_height, " x ",
        context.latent_width, ", expected ", caption.latent_height, " x ", caption.latent_width);
  assert(context.tokens.dim(1) == caption.refined.dim(1));
}

Tensor filled(const Shape& shape, float value) {
  Tensor x = empty(shape);
  std::fill_n(x.data<float>(), x.numel(), value);
  return x;
}

}  // namespace

struct Transformer::Impl {
  Impl(const TransformerConfig& config, const WeightMap& map, const WeightScope& weights)
      : config(config),
        rope(config.axes_dims, config.rope_theta),
        t_embedder(WeightScope(map, Dtype::kF32) / "t_embedder", config.adaln_dim()),
        cap_embedder(weights / "cap_embedder", config),
        x_embedder(weights / "all_x_embedder" / "2-1",
                   config.patch_size * config.patch_size * config.in_channels, config.dim,
                   Linear::Bias::kPresent),
        x_pad_token(weights.vector("x_pad_token", {1, config.dim})),
        cap_pad_token(weights.vector("cap_pad_token", {1, config.dim})),
        noise_refiner(load_blocks<TransformerBlock>(weights / "noise_refiner", config,
                                                    config.n_refiner_layers)),
        layers(load_blocks<TransformerBlock>(weights / "layers", config, config.n_layers)),
        context_refiner(load_blocks<ContextBlock>(weights / "context_refiner", config,
                                                  config.n_refiner_layers)),
        final_layer(weights / "all_final_layer" / "2-1", config),
        compute(weights.compute()) {
    // Left over from the architecture's ancestor in some single-file checkpoints; diffusers drops
    // it.
    check_no_surplus(map, [](std::string_view name) { return name == "norm_final.weight"; });
  }

  // x: the rows of batch.image(), embedded. Returns the first `kept` rows of every sequence of
  // batch.all(), [rows, dim] f32.
  Tensor run(Tensor x, const Batch& batch, std::int64_t kept, const Step& step) const;
  Tensor run(const Tensor& x, const Batch& batch, std::int64_t kept, const Step& step,
             const Control& control) const;

  // The noise refiner's result, and the hints for the layers that follow it.
  std::pair<Tensor, ControlHints> refine(const Tensor& embedded, const Batch& batch,
                                         const Step& step, const Control& control,
                                         const Tensor& scale) const;

  // Of what leaves a layer only the image tokens are read after the last one.
  std::int64_t kept_after(int layer, std::int64_t kept) const {
    return layer + 1 == config.n_layers ? kept : kAllRows;
  }

  TransformerConfig config;
  RopeEmbedder rope;
  TimestepEmbedder t_embedder;
  CaptionEmbedder cap_embedder;
  Linear x_embedder;
  Tensor x_pad_token, cap_pad_token;
  LayerList<TransformerBlock> noise_refiner, layers;
  LayerList<ContextBlock> context_refiner;  // the last to stay in memory: it runs once per prompt
  FinalLayer final_layer;
  Dtype compute;
};

Transformer::Transformer(const TransformerConfig& config, const WeightMap& weights, Dtype compute)
    : impl_(std::make_unique<const Impl>(config, weights, WeightScope(weights, compute))) {}

Transformer::~Transformer() = default;

const TransformerConfig& Transformer::config() const { return impl_->config; }
const Tensor& Transformer::x_pad_token() const { return impl_->x_pad_token; }

std::shared_ptr<const Transformer::Caption> Transformer::prepare(const Tensor& prompt_embeds,
                                                                 int latent_height,
                                                                 int latent_width) const {
  const auto& config = impl_->config;
  check(prompt_embeds.rank() == 2 && prompt_embeds.dim(1) == config.cap_feat_dim &&
            prompt_embeds.dim(0) > 0 && prompt_embeds.dtype() == Dtype::kF32,
        "transformer: prompt_embeds are ", prompt_embeds.shape(), " ", prompt_embeds.dtype(),
        ", expected [tokens, ", config.cap_feat_dim, "] F32");
  check_positions(config, prompt_embeds.dim(0), latent_height, latent_width);

  const auto caption_positions = positions_of_caption(prompt_embeds.dim(0));
  const auto image_positions =
      positions_of_image(static_cast<int>(caption_positions.size()) + 1,
                         latent_height / config.patch_size, latent_width / config.patch_size);
  const auto caption_rope = impl_->rope(caption_positions);
  const auto image_rope = impl_->rope(image_positions);

  Tensor x = pad_rows(impl_->cap_embedder(prompt_embeds), impl_->cap_pad_token);
  for (int i = 0; i < config.n_refiner_layers; ++i) {
    x = (*impl_->context_refiner[i])(x, caption_rope);
  }

  return std::make_shared<Caption>(Caption{.refined = x,
                                           .latent_height = latent_height,
                                           .latent_width = latent_width,
                                           .image_rope = image_rope,
                                           .rope = concat(image_rope, caption_rope)});
}

Tensor Transformer::operator()(const Tensor& latents, float t, const Caption& caption,
                               const std::function<void()>& between_blocks,
                               const Control* control) const {
  const Caption* const one = &caption;
  return (*this)(latents, t, std::span(&one, 1), between_blocks, control).front();
}

std::vector<Tensor> Transformer::operator()(const Tensor& latents, float t,
                                            std::span<const Caption* const> captions,
                                            const std::function<void()>& between_blocks,
                                            const Control* control) const {
  const auto& config = impl_->config;
  check(!captions.empty(), "transformer: no caption");
  const bool is_controlled = control != nullptr && control->scale != 0;
  for (const Caption* caption : captions) {
    const Shape expected{config.in_channels, caption->latent_height, caption->latent_width};
    check(latents.shape() == expected && latents.dtype() == Dtype::kF32,
          "transformer: latents are ", latents.shape(), " ", latents.dtype(), ", expected ",
          expected, " F32");
    if (is_controlled) check_control(*control, *caption);
  }
  check(std::isfinite(t), "transformer: t is ", t, ", expected a number from 0 to 1");

  const Batch batch(captions);
  const Step step{impl_->t_embedder(t * config.t_scale), between_blocks};
  const Tensor patches = patchify(latents, config.patch_size, impl_->compute);
  const Tensor embedded = pad_rows(impl_->x_embedder(patches, Dtype::kF32), impl_->x_pad_token);
  const std::int64_t rows = patches.dim(0);
  const Tensor x = is_controlled ? impl_->run(batch.repeat(embedded), batch, rows, step, *control)
                                 : impl_->run(batch.repeat(embedded), batch, rows, step);
  const Tensor tokens = impl_->final_layer(x, step.adaln_input);

  std::vector<Tensor> outputs;
  for (std::int64_t begin = 0; begin < tokens.dim(0); begin += rows) {
    outputs.push_back(unpatchify(tokens.slice(begin, begin + rows), config.patch_size,
                                 static_cast<int>(latents.dim(1)),
                                 static_cast<int>(latents.dim(2))));
  }
  return outputs;
}

Tensor Transformer::Impl::run(Tensor x, const Batch& batch, std::int64_t kept,
                              const Step& step) const {
  for (int i = 0; i < noise_refiner.size(); ++i) x = step.run(*noise_refiner[i], x, batch.image());
  x = batch.join(x);
  for (int i = 0; i < layers.size(); ++i) {
    x = step.run(*layers[i], x, batch.all(), kept_after(i, kept));
  }
  return x;
}

Tensor Transformer::Impl::run(const Tensor& embedded, const Batch& batch, std::int64_t kept,
                              const Step& step, const Control& control) const {
  const Tensor scale = filled({config.dim}, control.scale);
  auto [refined, hints] = refine(embedded, batch, step, control, scale);
  Tensor x = batch.join(refined);
  for (int i = 0; i < config.n_layers; ++i) {
    x = step.run(*layers[i], x, batch.all(), kept_after(i, kept));
    if (!hints.follow(i)) continue;
    const Tensor hint = hints.next();
    if (control.on_hint) control.on_hint(i, hint);
    x = ops::add_gated(x, batch.all().leading(hint, kept_after(i, kept)), scale);
  }
  return x;
}

std::pair<Tensor, ControlHints> Transformer::Impl::refine(const Tensor& embedded,
                                                          const Batch& batch, const Step& step,
                                                          const Control& control,
                                                          const Tensor& scale) const {
  ControlHints hints = control.net.refiner_hints(batch.repeat(control.context.tokens), embedded,
                                                 batch.image(), step);
  Tensor x = embedded;
  // What the control network goes on with. The transformer itself is not hinted at here, so from
  // the first hint on there are two streams.
  Tensor hinted = x;
  bool is_hinted = false;
  for (int i = 0; i < config.n_refiner_layers; ++i) {
    const auto block = noise_refiner[i];
    x = step.run(*block, x, batch.image());
    hinted = is_hinted ? step.run(*block, hinted, batch.image()) : x;
    if (!hints.follow(i)) continue;
    hinted = ops::add_gated(hinted, hints.next(), scale);
    is_hinted = true;
  }
  return {x, control.net.layer_hints(batch.join(hints.finish()), batch.join(hinted), batch.all(),
                                     step)};
}

}  // namespace zimage
