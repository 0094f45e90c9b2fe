#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/check.h"
#include "measure.h"
#include "models/component_weights.h"
#include "text_encoder/text_encoder.h"
#include "transformer/rope_embedder.h"
#include "transformer/sequence.h"
#include "transformer/transformer.h"
#include "transformer/transformer_block.h"
#include "vae/vae.h"

namespace zimage::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kCaption = 64;  // tokens
constexpr int kScale = 16;    // pixels per image token

// Some pattern of values about one.
Tensor pattern(const Shape& shape) {
  Tensor x = empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.data<float>()[i] = static_cast<float>(i * 37 % 201 - 100) / 58;
  }
  return x;
}

double block_operations(const TransformerConfig& c, std::int64_t tokens) {
  const double linear = 2.0 * (4.0 * c.dim * c.dim + 3.0 * c.dim * c.ffn_dim());
  const double attention = 4.0 * static_cast<double>(tokens) * c.dim;
  return static_cast<double>(tokens) * (linear + attention);
}

std::int64_t image_tokens(int size) {
  return padded(std::int64_t{size / kScale} * (size / kScale));
}

// Every convolution of the decoder or the encoder: 2 * pixels * in * out * kernel area, and the
// attention in the middle.
double vae_operations(const VaeConfig& c, double pixels, bool is_decoder) {
  const auto& channels = c.block_out_channels;
  const int stages = static_cast<int>(channels.size());
  const auto conv = [](double at, double in, double out, int kernel) {
    return 2 * at * in * out * kernel * kernel;
  };
  const auto resnet = [&](double at, double in, double out) {
    return conv(at, in, out, 3) + conv(at, out, out, 3) + (in != out ? conv(at, in, out, 1) : 0);
  };
  const double smallest = pixels / (c.scale() * c.scale()), top = channels.back();
  double sum = 2 * resnet(smallest, top, top) + 4 * conv(smallest, top, top, 1) +
               4 * smallest * smallest * top;
  sum += conv(smallest, c.latent_channels * (is_decoder ? 1 : 2), top, 3);
  sum += conv(pixels, channels.front(), 3, 3);
  for (int i = 0; i < stages; ++i) {  // from full size down
    const double at = pixels / std::pow(4.0, i), out = channels[i];
    const int outer = is_decoder ? std::min(i + 1, stages - 1) : std::max(i - 1, 0);
    const int resnets = c.layers_per_block + (is_decoder ? 1 : 0);
    sum += resnet(at, channels[outer], out) + (resnets - 1) * resnet(at, out, out);
    if (i > 0 && is_decoder) sum += conv(at * 4, out, out, 3);
    if (i + 1 < stages && !is_decoder) sum += conv(at / 4, out, out, 3);
  }
  return sum;
}

}  // namespace

void time_block(const fs::path& model, int size, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = TransformerConfig::from_json(snapshot.config_of("transformer"));
  const WeightMap weights = load_weights(snapshot, "transformer");
  const TransformerBlock block(WeightScope(weights, Dtype::kBf16) / "layers" / "0", config);
  auto positions = positions_of_image(kCaption + 1, size / kScale, size / kScale);
  for (const Position& position : positions_of_caption(kCaption)) positions.push_back(position);
  const auto tokens = static_cast<std::int64_t>(positions.size());
  const auto rope = RopeEmbedder(config.axes_dims, config.rope_theta)(positions);
  const Tensor x = pattern({tokens, config.dim}), time = pattern({1, config.adaln_dim()});
  add({str("transformer block, ", size, "x", size), fastest([&] { (void)block(x, rope, time); }),
       block_operations(config, tokens), limit});
}

void time_forward(const fs::path& model, int size, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = TransformerConfig::from_json(snapshot.config_of("transformer"));
  const WeightMap weights = load_weights(snapshot, "transformer");
  const Transformer transformer(config, weights, Dtype::kBf16);
  const int latent = size / 8;
  const auto caption =
      transformer.prepare(pattern({kCaption, config.cap_feat_dim}), latent, latent);
  const Tensor latents = pattern({config.in_channels, latent, latent});
  const std::int64_t image = image_tokens(size);
  const double operations = config.n_layers * block_operations(config, image + kCaption) +
                            config.n_refiner_layers * block_operations(config, image);
  add({str("transformer forward, ", size, "x", size),
       fastest([&] { (void)transformer(latents, 0.5f, *caption); }, 0, 1), operations, limit});
}

void time_text_encoder(const fs::path& model, int tokens, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto c = TextEncoderConfig::from_json(snapshot.config_of("text_encoder"));
  const WeightMap weights = load_weights(snapshot, "text_encoder");
  const TextEncoder encoder(c, weights, Dtype::kBf16);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < tokens; ++i) ids.push_back(i * 7919 % c.vocab_size);
  const double heads = static_cast<double>(c.num_attention_heads) * c.head_dim;
  const double keys = static_cast<double>(c.num_key_value_heads) * c.head_dim;
  const double layer =
      2.0 * tokens * c.hidden_size * (2 * heads + 2 * keys + 3.0 * c.intermediate_size) +
      2.0 * tokens * tokens * heads;
  add({str("text encoder, ", tokens, " tokens"), fastest([&] { (void)encoder(ids); }, 0, 2),
       (c.num_hidden_layers - 1) * layer, limit});
}

void time_vae(const fs::path& model, int size, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = VaeConfig::from_json(snapshot.config_of("vae"));
  const WeightMap weights = load_weights(snapshot, "vae");
  const double pixels = static_cast<double>(size) * size;
  const int latent = size / config.scale();
  {
    const VaeDecoder decoder(config, weights, Dtype::kBf16);
    const Tensor latents = pattern({config.latent_channels, latent, latent});
    add({str("vae decode, ", size, "x", size), fastest([&] { (void)decoder(latents); }, 0, 2),
         vae_operations(config, pixels, true), limit});
  }
  allocator::trim();
  const VaeEncoder encoder(config, weights, Dtype::kBf16);
  const Tensor picture = pattern({3, size, size});
  add({str("vae encode, ", size, "x", size), fastest([&] { (void)encoder.moments(picture); }, 0, 2),
       vae_operations(config, pixels, false), limit});
  allocator::trim();
}

}  // namespace zimage::bench
