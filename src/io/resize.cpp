// Pillow resamples one axis after the other and rounds to 8 bits in between; weights are whole
// numbers of 2^-22 (src/libImaging/Resample.c of Pillow 13.0.0).
#include "io/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "core/parallel.h"
#include "io/image_size.h"

namespace zimage {
namespace {

using Samples = std::vector<std::uint8_t>;

constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;
constexpr int kChannels = 3;
constexpr int kWeightBits = 22;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
constexpr double kRadius = 3;            // of the filter, in pixels of the coarser side
constexpr double kMaxWeights = 1 << 20;  // held at a time, 4 MiB
constexpr std::size_t kTaskSamples = 1 << 16;

struct Size {
  int width, height;  // pixels
};

// Lengths of an axis before and after, in pixels.
struct Axis {
  int from, to;

  // Pillow hands the length over as f32, which rounds from 2^24 on.
  double scale() const { return static_cast<double>(static_cast<float>(from)) / to; }
  double stretch() const { return std::max(scale(), 1.0); }
};

// What makes one result: a run of the source, starting at `first`, and its weights.
struct Taps {
  std::size_t first;
  std::vector<std::int32_t> weights;  // in 2^-22
};

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) { return -kRadius <= x && x < kRadius ? sinc(x) * sinc(x / kRadius) : 0; }

// Half away from zero.
std::int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

// Every operation in Pillow's order, so that the doubles round alike.
Taps taps_at(const Axis& axis, int at) {
  const double center = (at + 0.5) * axis.scale();
  const double support = kRadius * axis.stretch();
  const double inverse_stretch = 1.0 / axis.stretch();
  const int first = static_cast<int>(std::max(center - support + 0.5, 0.0));
  const int end =
      static_cast<int>(std::min(center + support + 0.5, static_cast<double>(axis.from)));

  std::vector<double> weights(static_cast<std::size_t>(end - first));
  double sum = 0;
  for (int i = first; i < end; ++i) {
    const double weight = lanczos((i - center + 0.5) * inverse_stretch);
    weights[static_cast<std::size_t>(i - first)] = weight;
    sum += weight;
  }
  Taps taps{static_cast<std::size_t>(first), {}};
  taps.weights.reserve(weights.size());
  for (const double weight : weights) {
    taps.weights.push_back(fixed_point(sum != 0 ? weight / sum : weight));
  }
  return taps;
}

std::uint8_t clipped(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

// row: samples.
std::int64_t rows_per_task(std::size_t row) {
  return static_cast<std::int64_t>(std::max<std::size_t>(kTaskSamples / row, 1));
}

void resample_row(const std::uint8_t* in, std::span<const Taps> row_taps, std::uint8_t* out) {
  for (const Taps& taps : row_taps) {
    std::array<std::int32_t, kChannels> sums;
    sums.fill(kHalf);
    const std::uint8_t* pixel = in + taps.first * kChannels;
    for (const std::int32_t weight : taps.weights) {
      for (int c = 0; c < kChannels; ++c) sums[c] += *pixel++ * weight;
    }
    for (const std::int32_t sum : sums) *out++ = clipped(sum);
  }
}

// Columns in blocks, because all weights of a very wide row would outgrow the picture.
Samples resample_rows(const Samples& in, const Axis& axis, int height) {
  const std::size_t row_in = std::size_t{kChannels} * static_cast<std::size_t>(axis.from);
  const std::size_t row_out = std::size_t{kChannels} * static_cast<std::size_t>(axis.to);
  Samples out(row_out * static_cast<std::size_t>(height));
  const double weights_each = 2 * kRadius * axis.stretch() + 1;
  const auto block =
      std::max<std::int64_t>(static_cast<std::int64_t>(kMaxWeights / weights_each), 1);
  for (std::int64_t begin = 0; begin < axis.to; begin += block) {
    const std::int64_t end = std::min<std::int64_t>(begin + block, axis.to);
    std::vector<Taps> taps;
    for (std::int64_t x = begin; x < end; ++x) taps.push_back(taps_at(axis, static_cast<int>(x)));
    std::uint8_t* first_out = out.data() + kChannels * static_cast<std::size_t>(begin);
    parallel_blocks(height, rows_per_task(row_in), [&](std::int64_t top, std::int64_t bottom) {
      for (auto y = static_cast<std::size_t>(top); y < static_cast<std::size_t>(bottom); ++y) {
        resample_row(in.data() + y * row_in, taps, first_out + y * row_out);
      }
    });
  }
  return out;
}

// One row from those that start at `in`, `row` samples each.
void blend_rows(const std::uint8_t* in, std::size_t row, const std::vector<std::int32_t>& weights,
                std::uint8_t* out) {
  std::array<std::int32_t, 1024> sums;  // stays in the first cache
  for (std::size_t begin = 0; begin < row; begin += sums.size()) {
    const std::size_t count = std::min(sums.size(), row - begin);
    std::fill_n(sums.begin(), count, kHalf);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const std::uint8_t* line = in + k * row + begin;
      for (std::size_t i = 0; i < count; ++i) sums[i] += line[i] * weights[k];
    }
    for (std::size_t i = 0; i < count; ++i) out[begin + i] = clipped(sums[i]);
  }
}

Samples resample_columns(const Samples& in, const Axis& axis, std::size_t row) {
  Samples out(row * static_cast<std::size_t>(axis.to));
  parallel_blocks(axis.to, rows_per_task(row), [&](std::int64_t top, std::int64_t bottom) {
    for (std::int64_t y = top; y < bottom; ++y) {
      const Taps taps = taps_at(axis, static_cast<int>(y));
      blend_rows(in.data() + taps.first * row, row, taps.weights,
                 out.data() + static_cast<std::size_t>(y) * row);
    }
  });
  return out;
}

// Pillow's choice since 13.0.0: the height goes first when it loses more than twice as many pixels
// as the width. Either way what lies between is no larger than the larger picture.
bool is_height_first(const Size& from, const Size& to) {
  const std::int64_t lost_height = std::int64_t{from.height} - to.height;
  const std::int64_t lost_width = std::int64_t{from.width} - to.width;
  return lost_height > 0 && lost_height > 2 * lost_width;
}

Samples resized(const Samples& in, const Size& from, const Size& to) {
  const Axis x{from.width, to.width}, y{from.height, to.height};
  const auto row_of = [](int width) {
    return std::size_t{kChannels} * static_cast<std::size_t>(width);
  };
  if (x.from == x.to) return y.from == y.to ? in : resample_columns(in, y, row_of(x.to));
  if (y.from == y.to) return resample_rows(in, x, y.to);
  if (is_height_first(from, to)) {
    return resample_rows(resample_columns(in, y, row_of(x.from)), x, y.to);
  }
  return resample_columns(resample_rows(in, x, y.from), y, row_of(x.to));
}

}  // namespace

Image resize_lanczos(const Image& image, int width, int height) {
  check_pixels("resize", image.width, image.height, kChannels, image.pixels.size());
  check(width > 0 && height > 0, "resize: to ", width, " x ", height,
        " pixels, expected at least 1 x 1");
  check(width <= kMaxPixels / height, "resize: to ", width, " x ", height, " pixels, at most ",
        kMaxPixels, " are made");
  return {width, height, resized(image.pixels, {image.width, image.height}, {width, height})};
}

}  // namespace zimage
