#include "pipeline/cost.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/check.h"
#include "layers/adapter_work.h"
#include "transformer/sequence.h"

namespace zimage {
namespace {

double product(double rows, double in, double out) { return 2 * rows * in * out; }

// Scores, then the weighted sum of values.
double attention_of(double queries, double keys, double channels) {
  return 4 * queries * keys * channels;
}

Cost convolution(double pixels, double in, double out, int kernel) {
  const double operations = product(pixels, in * kernel * kernel, out);
  return kernel == 1 ? Cost{.linear = operations} : Cost{.convolution = operations};
}

Cost resnet(double pixels, double in, double out) {
  Cost cost = convolution(pixels, in, out, 3) + convolution(pixels, out, out, 3);
  if (in != out) cost += convolution(pixels, in, out, 1);
  return cost;
}

// Two resnets and what attends between them, at latent size.
Cost middle_of_vae(const VaeConfig& config, double pixels) {
  const double channels = config.block_out_channels.back();
  Cost cost = 2 * resnet(pixels, channels, channels);
  if (config.mid_block_add_attention) {
    cost += {.linear = 4 * product(pixels, channels, channels),
             .attention = attention_of(pixels, pixels, channels)};
  }
  return cost;
}

double latent_pixels(const VaeConfig& config, double pixels) {
  return pixels / (config.scale() * config.scale());
}

// What a layer costs less of which only the image's rows are read: keys and values of the caption
// are all that is computed of it.
Cost unread_caption(const TransformerConfig& c, const SequenceLength& tokens) {
  const auto rows = static_cast<double>(tokens.caption);
  return {.linear = 2 * product(rows, c.dim, c.dim) + 3 * product(rows, c.dim, c.ffn_dim()),
          .attention = attention_of(rows, static_cast<double>(tokens.total()), c.dim)};
}

bool is_of_caption(std::string_view module) {
  return module.starts_with("context_refiner.") || module.starts_with("cap_embedder.");
}

// Rows of x that the products of a module of the transformer have, those of the modulation aside.
std::int64_t rows_of(std::string_view module, const TransformerConfig& c,
                     const SequenceLength& tokens) {
  if (module.find("adaLN") != module.npos || module.starts_with("t_embedder.")) return 0;
  if (is_of_caption(module)) return tokens.caption;
  if (!module.starts_with("layers.")) return tokens.image;
  const bool is_last = module.starts_with(str("layers.", c.n_layers - 1, "."));
  const bool is_key = module.ends_with(".to_k") || module.ends_with(".to_v");
  return is_last && !is_key ? tokens.image : tokens.total();
}

}  // namespace

Cost& Cost::operator+=(const Cost& other) {
  linear += other.linear;
  attention += other.attention;
  convolution += other.convolution;
  return *this;
}

Cost operator+(Cost a, const Cost& b) { return a += b; }

Cost operator*(double times, Cost cost) {
  return {.linear = times * cost.linear,
          .attention = times * cost.attention,
          .convolution = times * cost.convolution};
}

SequenceLength::SequenceLength(const TransformerConfig& transformer, const VaeConfig& vae,
                               int width, int height, int caption)
    : caption(padded(caption)) {
  const int unit = vae.scale() * transformer.patch_size;
  image = padded(std::int64_t{width / unit} * (height / unit));
}

Cost cost_of_block(const TransformerConfig& c, std::int64_t tokens) {
  const auto rows = static_cast<double>(tokens);
  return {.linear = 4 * product(rows, c.dim, c.dim) + 3 * product(rows, c.dim, c.ffn_dim()),
          .attention = attention_of(rows, rows, c.dim)};
}

Cost cost_of_caption(const TransformerConfig& c, std::int64_t tokens) {
  return Cost{.linear = product(static_cast<double>(tokens), c.cap_feat_dim, c.dim)} +
         c.n_refiner_layers * cost_of_block(c, tokens);
}

Cost cost_of_transformer(const TransformerConfig& c, const SequenceLength& tokens) {
  const double patch = static_cast<double>(c.in_channels) * c.patch_size * c.patch_size;
  const double embedders = 2 * product(static_cast<double>(tokens.image), patch, c.dim);
  return Cost{.linear = embedders} + c.n_refiner_layers * cost_of_block(c, tokens.image) +
         c.n_layers * cost_of_block(c, tokens.total()) + -1 * unread_caption(c, tokens);
}

Cost cost_of_controlnet(const ControlNetConfig& config, const TransformerConfig& c,
                        const SequenceLength& tokens) {
  using Refiner = ControlNetConfig::Refiner;
  const auto projections = [&](double rows, double count) {
    return Cost{.linear = count * product(rows, c.dim, c.dim)};
  };
  const auto image = static_cast<double>(tokens.image), all = static_cast<double>(tokens.total());
  const auto layers = static_cast<double>(config.layer_places.size());
  const auto hints = static_cast<double>(config.refiner_places.size());
  // One projection leads in, and one makes each hint.
  Cost cost = layers * cost_of_block(c, tokens.total()) + projections(all, layers + 1);
  // With hints the noise refiner goes on with a second stream after the first of them.
  const double refiners = config.refiner == Refiner::kControlLayers ? layers : c.n_refiner_layers;
  cost += refiners * cost_of_block(c, tokens.image) + projections(image, hints);
  if (hints > 0) {
    cost +=
        (c.n_refiner_layers - 1 - config.refiner_places.front()) * cost_of_block(c, tokens.image);
  }
  return cost;
}

AdapterCost cost_of_adapters(const AdapterSet& adapters, const TransformerConfig& config,
                             const SequenceLength& tokens,
                             const std::function<bool(const std::string& module)>& is_int8) {
  AdapterCost sum;
  for (const auto& [module, changes] : adapters.modules()) {
    const AdapterWork work =
        work_of(changes, rows_of(module, config, tokens), adapters.merges(module), is_int8(module));
    (is_of_caption(module) ? sum.caption : sum.forward) += Cost{.linear = work.product};
    sum.gates += Cost{.linear = work.gates};
    sum.merging += Cost{.linear = work.merging};
  }
  return sum;
}

Cost cost_of_text_encoder(const TextEncoderConfig& c, std::int64_t tokens) {
  const auto rows = static_cast<double>(tokens);
  const double heads = static_cast<double>(c.num_attention_heads) * c.head_dim;
  const double keys = static_cast<double>(c.num_key_value_heads) * c.head_dim;
  const Cost layer{.linear = product(rows, c.hidden_size, 2 * heads + 2 * keys) +
                             3 * product(rows, c.hidden_size, c.intermediate_size),
                   .attention = attention_of(rows, rows, heads) / 2};  // causal
  return (c.num_hidden_layers - 1) * layer;
}

Cost cost_of_vae_decoder(const VaeConfig& c, int width, int height) {
  const auto& channels = c.block_out_channels;
  const double pixels = static_cast<double>(width) * height;
  const double latents = latent_pixels(c, pixels);
  Cost cost = middle_of_vae(c, latents) +
              convolution(latents, c.latent_channels, channels.back(), 3) +
              convolution(pixels, channels.front(), c.out_channels, 3);
  if (c.use_post_quant_conv) cost += convolution(latents, c.latent_channels, c.latent_channels, 1);
  const int stages = static_cast<int>(channels.size());
  for (int i = 0; i < stages; ++i) {  // from full size down
    const double at = pixels / std::pow(4.0, i), out = channels[i];
    const double before = channels[std::min(i + 1, stages - 1)];
    cost += resnet(at, before, out) + c.layers_per_block * resnet(at, out, out);
    if (i > 0) cost += convolution(at * 4, out, out, 2);  // after enlarging: nine taps on 2 x 2
  }
  return cost;
}

Cost cost_of_vae_encoder(const VaeConfig& c, int width, int height) {
  const auto& channels = c.block_out_channels;
  const double pixels = static_cast<double>(width) * height;
  const double latents = latent_pixels(c, pixels), moments = 2.0 * c.latent_channels;
  Cost cost = middle_of_vae(c, latents) + convolution(pixels, c.in_channels, channels.front(), 3) +
              convolution(latents, channels.back(), moments, 3);
  if (c.use_quant_conv) cost += convolution(latents, moments, moments, 1);
  const int stages = static_cast<int>(channels.size());
  for (int i = 0; i < stages; ++i) {  // from full size down
    const double at = pixels / std::pow(4.0, i), out = channels[i];
    const double before = channels[std::max(i - 1, 0)];
    cost += resnet(at, before, out) + (c.layers_per_block - 1) * resnet(at, out, out);
    if (i + 1 < stages) cost += convolution(at / 4, out, out, 3);
  }
  return cost;
}

}  // namespace zimage
