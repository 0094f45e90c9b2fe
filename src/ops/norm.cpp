#include "ops/norm.h"

#include <string_view>

#include "core/check.h"
#include "core/profile.h"
#include "cpu/norm.h"
#include "ops/check_dtype.h"

namespace zimage::ops {
namespace {

void check_rows(std::string_view op, const Tensor& x, Dtype out_dtype) {
  check_computable(op, "x", x.dtype());
  check_computable(op, "the result", out_dtype);
  check(x.rank() > 0 && x.dim(-1) > 0, op, ": x ", x.shape(), " has no channels");
}

// A vector over the channels of x.
void check_channels(std::string_view op, std::string_view name, const Tensor& vector,
                    const Tensor& x) {
  check(vector.defined(), op, ": ", name, " is missing");
  check(vector.shape() == Shape{x.dim(-1)}, op, ": ", name, " ", vector.shape(), " does not fit x ",
        x.shape());
  check(vector.dtype() == Dtype::kF32, op, ": ", name, " is ", vector.dtype(), ", expected F32");
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, Dtype out_dtype,
                const Tensor& scale) {
  check_rows("rms_norm", x, out_dtype);
  check_channels("rms_norm", "weight", weight, x);
  if (scale.defined()) check_channels("rms_norm", "scale", scale, x);

  Tensor y = empty(x.shape(), out_dtype);
  const profile::Op op("rms_norm", {x.numel() / x.dim(-1), x.dim(-1)}, profile::work(0, x, y));
  cpu::rms_norm(x, weight, eps, scale, y);
  return y;
}

Tensor layer_norm(const Tensor& x, float eps, Dtype out_dtype, const Tensor& scale) {
  check_rows("layer_norm", x, out_dtype);
  if (scale.defined()) check_channels("layer_norm", "scale", scale, x);

  Tensor y = empty(x.shape(), out_dtype);
  const profile::Op op("layer_norm", {x.numel() / x.dim(-1), x.dim(-1)}, profile::work(0, x, y));
  cpu::layer_norm(x, eps, scale, y);
  return y;
}

namespace {

void check_group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias) {
  check_rows("group_norm", x, x.dtype());
  check_channels("group_norm", "weight", weight, x);
  check_channels("group_norm", "bias", bias, x);
  check(groups > 0 && x.dim(-1) % groups == 0, "group_norm: the ", x.dim(-1), " channels of x ",
        x.shape(), " do not divide into ", groups, " groups");
}

}  // namespace

Tensor group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                  bool with_silu) {
  check_group_norm(x, groups, weight, bias);
  Tensor y = empty(x.shape(), x.dtype());
  const profile::Op op("group_norm", {x.numel() / x.dim(-1), x.dim(-1)}, profile::work(0, x, y));
  cpu::group_norm(x, groups, weight, bias, eps, with_silu, y);
  return y;
}

ChannelSums& ChannelSums::operator+=(const ChannelSums& other) {
  if (sums.empty()) sums.resize(other.sums.size());
  check(sums.size() == other.sums.size(), "channel_sums: ", other.sums.size() / 2,
        " channels, expected ", sums.size() / 2);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
  pixels += other.pixels;
  return *this;
}

ChannelSums channel_sums(const Tensor& x, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t column_begin, std::int64_t column_end) {
  check_rows("channel_sums", x, x.dtype());
  check(x.rank() == 3 && 0 <= row_begin && row_begin <= row_end && row_end <= x.dim(0) &&
            0 <= column_begin && column_begin <= column_end && column_end <= x.dim(1),
        "channel_sums: rows ", row_begin, " to ", row_end, ", columns ", column_begin, " to ",
        column_end, " of x ", x.shape());
  return {.sums = cpu::channel_sums(x, row_begin, row_end, column_begin, column_end),
          .pixels = (row_end - row_begin) * (column_end - column_begin)};
}

Tensor group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                  bool with_silu, const ChannelSums& statistics) {
  check_group_norm(x, groups, weight, bias);
  check(statistics.pixels > 0 && static_cast<std::int64_t>(statistics.sums.size()) == 2 * x.dim(-1),
        "group_norm: statistics of ", statistics.sums.size() / 2, " channels and ",
        statistics.pixels, " pixels do not fit x ", x.shape());
  Tensor y = empty(x.shape(), x.dtype());
  cpu::group_norm(x, groups, weight, bias, eps, with_silu, statistics.sums, statistics.pixels, y);
  return y;
}

}  // namespace zimage::ops
