#include "cpu/kernels/group_norm.h"

#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/norm.h"

namespace zimage::cpu {
namespace {

// For every channel y = x * factor + shift.
struct ChannelMap {
  std::vector<float> factor, shift;
};

const std::byte* pixel_of(const Tensor& t, std::int64_t pixel) {
  return t.raw() + pixel * t.dim(-1) * static_cast<std::int64_t>(size_of(t.dtype()));
}
std::byte* pixel_of(Tensor& t, std::int64_t pixel) {
  return const_cast<std::byte*>(pixel_of(static_cast<const Tensor&>(t), pixel));
}

// Sums, then sums of squares, over all pixels: [2][channels]. Every block leaves its own, and they
// are added up in order, whichever thread made them.
std::vector<double> channel_sums(const Tensor& x, std::int64_t pixels, std::int64_t grain) {
  const std::int64_t channels = x.dim(-1);
  const GroupNormKernels& kernels = group_norm_kernels();
  std::vector<double> blocks((pixels + grain - 1) / grain * 2 * channels);
  parallel_blocks(pixels, grain, [&](std::int64_t begin, std::int64_t end) {
    double* const sums = blocks.data() + begin / grain * 2 * channels;
    kernels.channel_sums(pixel_of(x, begin), x.dtype(), end - begin, channels, sums,
                         sums + channels);
  });
  std::vector<double> total(2 * channels);
  for (std::size_t i = 0; i < blocks.size(); ++i) total[i % total.size()] += blocks[i];
  return total;
}

// Means and variances of the groups, folded with weight and bias.
ChannelMap channel_map(const std::vector<double>& sums, std::int64_t pixels, int groups,
                       const float* weight, const float* bias, float eps) {
  const std::int64_t channels = static_cast<std::int64_t>(sums.size()) / 2;
  const std::int64_t group_size = channels / groups;
  const double count = static_cast<double>(pixels) * static_cast<double>(group_size);
  ChannelMap map{std::vector<float>(channels), std::vector<float>(channels)};
  for (int group = 0; group < groups; ++group) {
    const std::int64_t first = group * group_size, last = first + group_size;
    double sum = 0, square_sum = 0;
    for (std::int64_t c = first; c < last; ++c) {
      sum += sums[c];
      square_sum += sums[channels + c];
    }
    const double mean = sum / count;
    const double variance = square_sum / count - mean * mean;  // may round to below zero
    const double scale = 1 / std::sqrt((variance < 0 ? 0 : variance) + static_cast<double>(eps));
    for (std::int64_t c = first; c < last; ++c) {
      map.factor[c] = static_cast<float>(scale * weight[c]);
      map.shift[c] = static_cast<float>(bias[c] - mean * scale * weight[c]);
    }
  }
  return map;
}

}  // namespace

void group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                bool with_silu, Tensor& y) {
  const std::int64_t channels = x.dim(-1), pixels = x.numel() / channels;
  group_norm(x, groups, weight, bias, eps, with_silu,
             channel_sums(x, pixels, rows_per_block(channels)), pixels, y);
}

void group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                bool with_silu, const std::vector<double>& sums, std::int64_t pixels, Tensor& y) {
  const std::int64_t channels = x.dim(-1);
  const ChannelMap map =
      channel_map(sums, pixels, groups, weight.data<float>(), bias.data<float>(), eps);
  const GroupNormKernels& kernels = group_norm_kernels();
  parallel_blocks(
      x.numel() / channels, rows_per_block(channels), [&](std::int64_t begin, std::int64_t end) {
        kernels.scale_shift(pixel_of(x, begin), x.dtype(), end - begin, channels, map.factor.data(),
                            map.shift.data(), with_silu, pixel_of(y, begin));
      });
}

// Every row leaves its own sums, and they are added up in order.
std::vector<double> channel_sums(const Tensor& x, std::int64_t row_begin, std::int64_t row_end,
                                 std::int64_t column_begin, std::int64_t column_end) {
  const std::int64_t channels = x.dim(2), rows = row_end - row_begin;
  const GroupNormKernels& kernels = group_norm_kernels();
  std::vector<double> of_rows(rows * 2 * channels);
  parallel_for(rows, [&](std::int64_t row) {
    double* const sums = of_rows.data() + row * 2 * channels;
    kernels.channel_sums(pixel_of(x, (row_begin + row) * x.dim(1) + column_begin), x.dtype(),
                         column_end - column_begin, channels, sums, sums + channels);
  });
  std::vector<double> total(2 * channels);
  for (std::size_t i = 0; i < of_rows.size(); ++i) total[i % total.size()] += of_rows[i];
  return total;
}

}  // namespace zimage::cpu
