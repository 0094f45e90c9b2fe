// The VAE in tiles against the VAE in one.
#include "vae/tiles.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "models/component_weights.h"
#include "testing.h"
#include "vae/vae.h"

namespace zimage {
namespace {

TEST(Tiles, CoverThePictureOnceAndSeeTheirNeighbours) {
  for (const std::int64_t height : {8, 24, 25, 64, 97}) {
    for (const std::int64_t width : {16, 33, 128}) {
      SCOPED_TRACE(str(height, " x ", width));
      std::vector<int> covered(static_cast<std::size_t>(height * width));
      for (const Tile& tile : tiles_of(height, width, 32)) {
        EXPECT_LE(tile.rows.size(), 32);
        EXPECT_LE(tile.columns.size(), 32);
        EXPECT_EQ(tile.rows.begin, std::max<std::int64_t>(tile.core_rows.begin - kTileHalo, 0));
        EXPECT_EQ(tile.columns.end, std::min(tile.core_columns.end + kTileHalo, width));
        for (std::int64_t y = tile.core_rows.begin; y < tile.core_rows.end; ++y) {
          for (std::int64_t x = tile.core_columns.begin; x < tile.core_columns.end; ++x) {
            ++covered[static_cast<std::size_t>(y * width + x)];
          }
        }
      }
      EXPECT_THAT(covered, testing::Each(1));
    }
  }
}

TEST(Tiles, RefuseASideWithoutACore) {
  EXPECT_THAT(error_of([] { return tiles_of(64, 64, 16); }),
              testing::HasSubstr("tiles of 16 latent pixels, expected at least 32"));
}

TEST(Mosaic, OfEqualTilesIsThatValueEverywhere) {
  constexpr std::int64_t kHeight = 70, kWidth = 50, kScale = 2;
  Mosaic mosaic(3, kHeight, kWidth, kScale);
  for (const Tile& tile : tiles_of(kHeight, kWidth, 32)) {
    Tensor pixels = empty({3, tile.rows.size() * kScale, tile.columns.size() * kScale});
    std::fill_n(pixels.data<float>(), pixels.numel(), 2.0f);
    mosaic.add(tile, pixels);
  }
  for (const float value : values_of(mosaic.take())) EXPECT_NEAR(value, 2, 1e-6);
}

// The VAE of the demo model, which has been trained: how far a pixel sees and how much norms depend
// on what is far away is up to the weights.
class VaeInTiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("ZIMAGE_DEMO_MODEL");
    if (folder == nullptr) GTEST_SKIP() << "ZIMAGE_DEMO_MODEL is not set";
    snapshot_.emplace(Snapshot::open(folder));
    config_ = VaeConfig::from_json(snapshot_->config_of("vae"));
    weights_.emplace(load_weights(*snapshot_, "vae"));
  }

  std::optional<Snapshot> snapshot_;
  VaeConfig config_;
  std::optional<WeightMap> weights_;
};

// Discs of several colours on a plain ground, [3, height, width] from -1 to 1.
Tensor picture(std::int64_t height, std::int64_t width) {
  Tensor x = empty({3, height, width});
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const std::int64_t channel = i / (height * width), row = i / width % height, column = i % width;
    const std::int64_t y = row % 96 - 48, z = column % 80 - 40;
    const bool is_inside = y * y + z * z < 900 && row < height * 2 / 3;
    const auto hue = static_cast<float>((row / 96 * 7 + column / 80 * 3 + channel * 5) % 11);
    x.data<float>()[i] = is_inside ? hue / 5.5f - 1 : 0.4f;
  }
  return x;
}

constexpr std::int64_t kHeight = 320, kWidth = 288, kSide = 32;  // pixels; latent pixels

TEST_F(VaeInTiles, EncodesWithinTwoPercentOfTheWhole) {
  const VaeEncoder encoder(config_, *weights_, Dtype::kF32);
  const Tensor pixels = picture(kHeight, kWidth);
  EXPECT_LE(relative_error(encoder.moments(pixels, kSide), encoder.moments(pixels)), 0.02);
}

TEST_F(VaeInTiles, DecodesWithinOnePercentOfTheWhole) {
  const Tensor latents = mean_latents(
      config_, VaeEncoder(config_, *weights_, Dtype::kF32).moments(picture(kHeight, kWidth)));
  const VaeDecoder decoder(config_, *weights_, Dtype::kF32);
  EXPECT_LE(relative_error(decoder(latents, kSide), decoder(latents)), 0.01);
}

// The hardest case for norms: one half of the picture is plain, the other noise.
TEST_F(VaeInTiles, DecodesPlainAndRichPartsInOneTone) {
  const Shape shape{config_.latent_channels, kHeight / config_.scale(), kWidth / config_.scale()};
  Tensor latents = random_normal(shape, Dtype::kF32, 1);
  for (std::int64_t i = 0; i < latents.numel(); ++i) {
    if (i % shape[2] < shape[2] / 2) latents.data<float>()[i] = 0.3f;
  }
  const VaeDecoder decoder(config_, *weights_, Dtype::kF32);
  EXPECT_LE(relative_error(decoder(latents, kSide), decoder(latents)), 0.05);
}

}  // namespace
}  // namespace zimage
