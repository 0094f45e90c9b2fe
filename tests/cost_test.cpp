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

}  // namespace
}  // namespace zimage
