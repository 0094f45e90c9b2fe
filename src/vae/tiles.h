// A picture computed in overlapping tiles.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "ops/norm.h"

namespace zimage {

struct Span {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

// Latent pixels. The cores of all tiles cover the picture once; around them lies what the tile sees
// of its neighbours.
struct Tile {
  Span rows, columns;            // all of the tile
  Span core_rows, core_columns;  // inside
};

// What a tile sees around its core, and half the width over which it fades into its neighbour, in
// latent pixels. A pixel depends on the latents within 13 of it, but little on those beyond 8.
inline constexpr std::int64_t kTileHalo = 8, kTileFade = 4;
inline constexpr std::int64_t kSmallestTile = 2 * kTileHalo + 4 * kTileFade;

// Tiles of at most `side` latent pixels, kSmallestTile or more, in rows from the top.
std::vector<Tile> tiles_of(std::int64_t height, std::int64_t width, std::int64_t side);

// The rows and columns of x, [height, width, channels].
Tensor crop(const Tensor& x, Span rows, Span columns);

// Sum of tiles, [channels, height, width] f32 each, weighted so that neighbours fade into each
// other.
class Mosaic {
 public:
  // Sizes in latent pixels; scale: of the tiles' pixels to those.
  Mosaic(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t scale);

  // Tiles come row by row; pixels: [channels, tile.rows * scale, tile.columns * scale].
  void add(const Tile& tile, const Tensor& pixels);
  Tensor take() { return std::move(sum_); }

 private:
  std::vector<float> weights(Span tile, Span core, std::int64_t size) const;

  std::int64_t scale_;
  Tensor sum_;
};

// The statistics of all norms of a picture that is computed in tiles. Where each tile would be
// normalised by its own, a plain tile next to a rich one would come out in another tone. They are
// gathered over the cores in passes through all tiles: a norm's are right once those before it are,
// and each pass brings the others nearer.
class TileNorms {
 public:
  // Passes before the one whose pixels count.
  static constexpr int kPasses = 2;

  void begin_pass();
  void begin_tile(const Tile& tile);

  // The next norm of the tile: ops::group_norm with the picture's statistics as they are known.
  Tensor normalise(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                   bool with_silu);

 private:
  std::vector<ops::ChannelSums> known_, gathered_;
  Tile tile_;
  std::size_t next_ = 0;
};

}  // namespace zimage
