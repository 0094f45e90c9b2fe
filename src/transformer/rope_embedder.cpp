#include "transformer/rope_embedder.h"

#include <cmath>

#include "core/parallel.h"

namespace zimage {

RopeEmbedder::RopeEmbedder(const std::array<int, 3>& axes_dims, float theta) {
  for (int axis = 0; axis < 3; ++axis) {
    for (int channel = 0; channel < axes_dims[axis]; channel += 2) {
      const double exponent = static_cast<double>(channel) / axes_dims[axis];
      frequencies_.push_back({axis, 1.0 / std::pow(double{theta}, exponent)});
    }
  }
}

ops::RopeTable RopeEmbedder::operator()(std::span<const Position> positions) const {
  const auto tokens = static_cast<std::int64_t>(positions.size());
  const auto pairs = static_cast<std::int64_t>(frequencies_.size());
  ops::RopeTable table{empty({tokens, pairs}), empty({tokens, pairs})};
  float* cos = table.cos.data<float>();
  float* sin = table.sin.data<float>();
  parallel_blocks(tokens, /*grain=*/64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const auto& [axis, frequency] = frequencies_[static_cast<std::size_t>(pair)];
        // diffusers keeps angles in f32
        const auto angle = static_cast<float>(positions[token][axis] * frequency);
        cos[token * pairs + pair] = static_cast<float>(std::cos(double{angle}));
        sin[token * pairs + pair] = static_cast<float>(std::sin(double{angle}));
      }
    }
  });
  return table;
}

}  // namespace zimage
