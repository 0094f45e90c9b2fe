#include "vae/tiles.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"

namespace zimage {
namespace {

// Cores of nearly one length, so that no tile is longer than `side`.
std::vector<Span> cores_of(std::int64_t length, std::int64_t side) {
  if (length <= side) return {{0, length}};
  // The first and the last see a neighbour on one side only.
  const std::int64_t longest = side - 2 * kTileHalo;
  const std::int64_t count = (length + longest - 1) / longest;
  std::vector<Span> cores;
  for (std::int64_t i = 0; i < count; ++i) {
    cores.push_back({length * i / count, length * (i + 1) / count});
  }
  return cores;
}

Span with_halo(Span core, std::int64_t length) {
  return {std::max<std::int64_t>(core.begin - kTileHalo, 0),
          std::min(core.end + kTileHalo, length)};
}

// A part of the tile as it lies in x, which is the tile at some scale.
Span inside(Span core, Span tile, std::int64_t size) {
  return {(core.begin - tile.begin) * size / tile.size(),
          (core.end - tile.begin) * size / tile.size()};
}

}  // namespace

std::vector<Tile> tiles_of(std::int64_t height, std::int64_t width, std::int64_t side) {
  check(side >= kSmallestTile, "vae: tiles of ", side, " latent pixels, expected at least ",
        kSmallestTile);
  std::vector<Tile> tiles;
  for (const Span rows : cores_of(height, side)) {
    for (const Span columns : cores_of(width, side)) {
      tiles.push_back({.rows = with_halo(rows, height),
                       .columns = with_halo(columns, width),
                       .core_rows = rows,
                       .core_columns = columns});
    }
  }
  return tiles;
}

Tensor crop(const Tensor& x, Span rows, Span columns) {
  const auto pixel = x.dim(2) * static_cast<std::int64_t>(size_of(x.dtype()));
  Tensor part = empty({rows.size(), columns.size(), x.dim(2)}, x.dtype());
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    std::memcpy(part.raw() + i * columns.size() * pixel,
                x.raw() + ((rows.begin + i) * x.dim(1) + columns.begin) * pixel,
                static_cast<std::size_t>(columns.size() * pixel));
  }
  return part;
}

Mosaic::Mosaic(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t scale)
    : scale_(scale), sum_(zeros({channels, height * scale, width * scale})) {}

// Straight ramps about the core's ends, where these are not the picture's.
std::vector<float> Mosaic::weights(Span tile, Span core, std::int64_t size) const {
  std::vector<float> result;
  const auto ramp = static_cast<double>(2 * kTileFade * scale_);
  for (std::int64_t i = tile.begin * scale_; i < tile.end * scale_; ++i) {
    const double place = static_cast<double>(i) + 0.5;
    const auto from = place - static_cast<double>((core.begin - kTileFade) * scale_);
    const auto to = static_cast<double>((core.end + kTileFade) * scale_) - place;
    const double rising = core.begin == 0 ? 1 : std::clamp(from / ramp, 0.0, 1.0);
    const double falling = core.end == size ? 1 : std::clamp(to / ramp, 0.0, 1.0);
    result.push_back(static_cast<float>(rising * falling));
  }
  return result;
}

void Mosaic::add(const Tile& tile, const Tensor& pixels) {
  const std::int64_t height = sum_.dim(1), width = sum_.dim(2);
  const auto down = weights(tile.rows, tile.core_rows, height / scale_);
  const auto across = weights(tile.columns, tile.core_columns, width / scale_);
  const std::int64_t rows = pixels.dim(1), columns = pixels.dim(2);
  parallel_for(sum_.dim(0) * rows, [&](std::int64_t i) {
    const std::int64_t channel = i / rows, row = i % rows;
    const float* from = pixels.data<float>() + i * columns;
    float* to = sum_.data<float>() + (channel * height + tile.rows.begin * scale_ + row) * width +
                tile.columns.begin * scale_;
    for (std::int64_t x = 0; x < columns; ++x) to[x] += down[row] * across[x] * from[x];
  });
}

void TileNorms::begin_pass() {
  known_ = std::exchange(gathered_, {});
  next_ = 0;
}

void TileNorms::begin_tile(const Tile& tile) {
  tile_ = tile;
  next_ = 0;
}

Tensor TileNorms::normalise(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias,
                            float eps, bool with_silu) {
  const Span rows = inside(tile_.core_rows, tile_.rows, x.dim(0));
  const Span columns = inside(tile_.core_columns, tile_.columns, x.dim(1));
  if (next_ == gathered_.size()) gathered_.emplace_back();
  gathered_[next_] += ops::channel_sums(x, rows.begin, rows.end, columns.begin, columns.end);
  const std::size_t norm = next_++;
  if (norm >= known_.size()) return ops::group_norm(x, groups, weight, bias, eps, with_silu);
  return ops::group_norm(x, groups, weight, bias, eps, with_silu, known_[norm]);
}

}  // namespace zimage
