// Against counts made by hand for the published model.
#include "pipeline/cost.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

TransformerConfig published_transformer() {
  TransformerConfig c{};
  c.in_channels = 16;
  c.dim = 3840;
  c.n_layers = 30;
  c.n_refiner_layers = 2;
  c.n_heads = c.n_kv_heads = 30;
  c.cap_feat_dim = 2560;
  c.patch_size = 2;
  c.f_patch_size = 1;
  return c;
}

VaeConfig published_vae() {
  VaeConfig c{};
  c.in_channels = c.out_channels = 3;
  c.latent_channels = 16;
  c.layers_per_block = 2;
  c.block_out_channels = {128, 256, 512, 512};
  c.mid_block_add_attention = true;
  return c;
}

TextEncoderConfig published_text_encoder() {
  TextEncoderConfig c{};
  c.hidden_size = 2560;
  c.num_hidden_layers = 36;
  c.num_attention_heads = 32;
  c.num_key_value_heads = 8;
  c.head_dim = 128;
  c.intermediate_size = 9728;
  return c;
}

constexpr double kTera = 1e12;

TEST(Cost, OfATransformerForwardIsThatOfItsBlocks) {
  const TransformerConfig config = published_transformer();
  EXPECT_NEAR(cost_of_block(config, 1).linear, 353.9e6, 0.1e6);
  const SequenceLength tokens(config, published_vae(), 1024, 1024, 50);
  EXPECT_EQ(tokens.image, 4096);
  EXPECT_EQ(tokens.caption, 64);
  const Cost forward = cost_of_transformer(config, tokens);
  // Two of the 32 blocks see no caption, and the last one only its keys and values.
  EXPECT_NEAR(forward.linear, (29 * 4160 + 3 * 4096) * 353.9e6 + 64 * 4 * 3840.0 * 3840,
              0.01 * kTera);
  EXPECT_NEAR(forward.attention, 8.49 * kTera, 0.03 * kTera);
}

TEST(Cost, OfTheTextEncoderLeavesTheLastLayerOut) {
  const TextEncoderConfig config = published_text_encoder();
  EXPECT_NEAR(cost_of_text_encoder(config, 64).total(), 0.45 * kTera, 0.005 * kTera);
  EXPECT_NEAR(cost_of_text_encoder(config, 512).total(), 3.69 * kTera, 0.05 * kTera);
}

TEST(Cost, OfTheVaeIsThatOfItsConvolutions) {
  const VaeConfig config = published_vae();
  EXPECT_NEAR(cost_of_vae_decoder(config, 512, 512).total(), 2.13 * kTera, 0.01 * kTera);
  const Cost decode = cost_of_vae_decoder(config, 1024, 1024);
  EXPECT_NEAR(decode.total(), 8.93 * kTera, 0.01 * kTera);
  EXPECT_NEAR(decode.attention, 0.55 * kTera, 0.005 * kTera);
  EXPECT_LT(cost_of_vae_encoder(config, 1024, 1024).total(), decode.total());
}

TEST(Cost, OfAControlNetworkIsThatOfItsBlocksAndProjections) {
  const TransformerConfig transformer = published_transformer();
  const SequenceLength tokens(transformer, published_vae(), 512, 512, 64);
  const double layer = cost_of_block(transformer, tokens.total()).total();
  const double refiner = cost_of_block(transformer, tokens.image).total();
  const double all = 2.0 * static_cast<double>(tokens.total()) * 3840 * 3840;
  const double image = 2.0 * static_cast<double>(tokens.image) * 3840 * 3840;
  ControlNetConfig config{.in_channels = 16,
                          .layer_places = {0, 5, 10, 15, 20, 25},
                          .refiner_places = {},
                          .refiner = ControlNetConfig::Refiner::kPlain};
  EXPECT_DOUBLE_EQ(cost_of_controlnet(config, transformer, tokens).total(),
                   6 * layer + 2 * refiner + 7 * all);
  config.refiner = ControlNetConfig::Refiner::kOwn;
  config.refiner_places = {0, 1};
  EXPECT_DOUBLE_EQ(cost_of_controlnet(config, transformer, tokens).total(),
                   6 * layer + 3 * refiner + 7 * all + 2 * image);
}

constexpr std::int64_t kDim = 3840, kFfn = 10240;

// Nobody looks at the numbers.
Tensor some(const Shape& shape) { return empty(shape, Dtype::kBf16); }

WeightDeltaPtr lora(std::int64_t rank, std::int64_t in, std::int64_t out) {
  return low_rank_delta(some({rank, in}), some({out, rank}));
}

struct AdapterTotals {
  double forward, caption, gates, merging;
};
AdapterTotals cost_of(const std::string& module, const ModuleAdapter& adapter, bool is_merged,
                      bool is_int8 = false) {
  AdapterSet set(is_merged);
  set.add(module, adapter);
  const SequenceLength tokens(published_transformer(), published_vae(), 512, 512, 50);
  const AdapterCost cost = cost_of_adapters(set, published_transformer(), tokens,
                                            [&](const std::string&) { return is_int8; });
  return {cost.forward.total(), cost.caption.total(), cost.gates.total(), cost.merging.total()};
}

TEST(Cost, OfAdaptersIsThatOfTheirProductsWithTheRowsOfTheModule) {
  const ModuleAdapter adapter{.delta = lora(16, kDim, kDim)};
  const double row = 2.0 * 16 * (kDim + kDim);
  const auto forward = [&](const std::string& module) {
    return cost_of(module, adapter, false).forward / row;
  };
  EXPECT_DOUBLE_EQ(forward("layers.3.attention.to_q"), 1024 + 64);
  EXPECT_DOUBLE_EQ(forward("layers.29.attention.to_q"), 1024);  // of which the image is read
  EXPECT_DOUBLE_EQ(forward("layers.29.attention.to_k"), 1024 + 64);
  EXPECT_DOUBLE_EQ(forward("noise_refiner.0.attention.to_k"), 1024);
  EXPECT_DOUBLE_EQ(forward("context_refiner.0.attention.to_k"), 0);
  EXPECT_DOUBLE_EQ(forward("layers.3.adaLN_modulation.0"), 0);
  const AdapterTotals refiner = cost_of("context_refiner.0.attention.to_k", adapter, false);
  EXPECT_DOUBLE_EQ(refiner.caption, 64 * row);
  EXPECT_DOUBLE_EQ(refiner.merging, 0);
}

TEST(Cost, OfAdaptersThatAreMergedIsTheirMatrix) {
  const ModuleAdapter adapter{.delta = lora(16, kDim, kFfn)};
  const AdapterTotals merged = cost_of("layers.3.feed_forward.w1", adapter, true);
  EXPECT_DOUBLE_EQ(merged.forward, 0);
  EXPECT_DOUBLE_EQ(merged.merging, 2.0 * 16 * kDim * kFfn);
}

TEST(Cost, OfAdaptersDependsOnTheirKind) {
  const std::string module = "layers.3.attention.to_q";
  const double rows = 1024 + 64, weight = double{kDim} * kDim;
  const double lora_row = 2.0 * 16 * (kDim + kDim);
  // DoRA costs the norms.
  ModuleAdapter dora{.delta = lora(16, kDim, kDim), .magnitude = some({kDim})};
  EXPECT_DOUBLE_EQ(cost_of(module, dora, false).gates, 2 * 16 * weight);
  EXPECT_DOUBLE_EQ(cost_of(module, dora, false).forward, rows * lora_row);
  dora.magnitude = some({1, kDim});
  EXPECT_DOUBLE_EQ(cost_of(module, dora, false).forward, rows * lora_row);
  // By columns and by rows together: the weight is multiplied once more.
  AdapterSet both;
  both.add(module, dora);
  dora.magnitude = some({kDim});
  both.add(module, dora);
  const SequenceLength tokens(published_transformer(), published_vae(), 512, 512, 50);
  EXPECT_DOUBLE_EQ(
      cost_of_adapters(both, published_transformer(), tokens, [](const auto&) { return false; })
          .forward.total(),
      rows * (2 * lora_row + 2 * weight));
  // Each row is 60 rows for the second factor, whose results are 64 rows for the first.
  const ModuleAdapter lokr{.delta = kronecker_delta(some({60, 60}), dense_delta(some({64, 64})))};
  EXPECT_DOUBLE_EQ(cost_of(module, lokr, false).forward,
                   rows * (60 * 2.0 * 64 * 64 + 64 * 2.0 * 60 * 60));
  // LoHa is decoded along with the weight, or multiplied where that is in eight bits.
  const ModuleAdapter loha{
      .delta = hadamard_delta(some({8, kDim}), some({kDim, 8}), some({8, kDim}), some({kDim, 8}))};
  const double decoding = (2 * 2 * 8 + 1) * weight;
  EXPECT_DOUBLE_EQ(cost_of(module, loha, false).forward, decoding);
  EXPECT_DOUBLE_EQ(cost_of(module, loha, false, true).forward, rows * 2 * weight + 3 * decoding);
}

}  // namespace
}  // namespace zimage
