#include "core/allocator.h"
#include "core/check.h"
#include "measure.h"
#include "models/component_weights.h"
#include "pipeline/cost.h"
#include "pipeline/int8_choice.h"
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

WeightMap transformer_weights(const Snapshot& snapshot, Compute compute) {
  WeightMap weights = load_weights(snapshot, "transformer");
  weights.set_int8(choose_int8(snapshot,
                               compute.is_int8 ? ComputeDtype::kInt8 : ComputeDtype::kBf16, {},
                               "--int8-keep")
                       .policy);
  return weights;
}

}  // namespace

void time_block(const fs::path& model, int size, Compute compute, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = TransformerConfig::from_json(snapshot.config_of("transformer"));
  const WeightMap weights = transformer_weights(snapshot, compute);
  const TransformerBlock block(WeightScope(weights, Dtype::kBf16) / "layers" / "0", config);
  auto positions = positions_of_image(kCaption + 1, size / kScale, size / kScale);
  for (const Position& position : positions_of_caption(kCaption)) positions.push_back(position);
  const auto tokens = static_cast<std::int64_t>(positions.size());
  const auto rope = RopeEmbedder(config.axes_dims, config.rope_theta)(positions);
  const Sequences sequences{.lengths = {tokens}, .rope = rope};
  const Tensor x = pattern({tokens, config.dim}), time = pattern({1, config.adaln_dim()});
  add({str("transformer block, ", size, "x", size),
       fastest([&] { (void)block(x, sequences, time); }), cost_of_block(config, tokens).total(),
       compute.products()});
}

void time_forward(const fs::path& model, int size, Compute compute, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = TransformerConfig::from_json(snapshot.config_of("transformer"));
  const WeightMap weights = transformer_weights(snapshot, compute);
  const Transformer transformer(config, weights, Dtype::kBf16);
  const int latent = size / 8;
  const auto caption =
      transformer.prepare(pattern({kCaption, config.cap_feat_dim}), latent, latent);
  const Tensor latents = pattern({config.in_channels, latent, latent});
  const VaeConfig vae = VaeConfig::from_json(snapshot.config_of("vae"));
  const SequenceLength tokens(config, vae, size, size, kCaption);
  add({str("transformer forward, ", size, "x", size),
       fastest([&] { (void)transformer(latents, 0.5f, *caption); }, 0, 1),
       cost_of_transformer(config, tokens).total(), compute.products()});
}

void time_text_encoder(const fs::path& model, int tokens, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto c = TextEncoderConfig::from_json(snapshot.config_of("text_encoder"));
  const WeightMap weights = load_weights(snapshot, "text_encoder");
  const TextEncoder encoder(c, weights, Dtype::kBf16);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < tokens; ++i) ids.push_back(i * 7919 % c.vocab_size);
  add({str("text encoder, ", tokens, " tokens"), fastest([&] { (void)encoder(ids); }, 0, 2),
       cost_of_text_encoder(c, tokens).total(), limit});
}

void time_vae(const fs::path& model, int size, Limit limit, const AddRow& add) {
  const Snapshot snapshot = Snapshot::open(model);
  const auto config = VaeConfig::from_json(snapshot.config_of("vae"));
  const WeightMap weights = load_weights(snapshot, "vae");
  const int latent = size / config.scale();
  {
    const VaeDecoder decoder(config, weights, Dtype::kBf16);
    const Tensor latents = pattern({config.latent_channels, latent, latent});
    add({str("vae decode, ", size, "x", size), fastest([&] { (void)decoder(latents); }, 0, 2),
         cost_of_vae_decoder(config, size, size).total(), limit});
  }
  allocator::trim();
  const VaeEncoder encoder(config, weights, Dtype::kBf16);
  const Tensor picture = pattern({3, size, size});
  add({str("vae encode, ", size, "x", size), fastest([&] { (void)encoder.moments(picture); }, 0, 2),
       cost_of_vae_encoder(config, size, size).total(), limit});
  allocator::trim();
}

}  // namespace zimage::bench
