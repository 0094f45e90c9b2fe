#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace zimage::ops {

// y = x / sqrt(mean(x^2) + eps) * weight (* scale) over the last axis, inside in f32.
// x: [..., dim] f32 or bf16; weight: [dim] f32; scale: [dim] f32 or undefined.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, Dtype out_dtype,
                const Tensor& scale = {});

// y = (x - mean) / sqrt(variance + eps) * scale over the last axis (biased variance, no shift).
// x: [..., dim] f32 or bf16; scale: [dim] f32 or undefined.
Tensor layer_norm(const Tensor& x, float eps, Dtype out_dtype, const Tensor& scale = {});

// torch's GroupNorm over channels and all pixels of one picture, then SiLU if asked.
// x: [height, width, channels] (or [pixels, channels]) bf16 or f32; weight, bias: [channels] f32;
// channels is a multiple of groups. Statistics in f64, y has x's shape and dtype.
Tensor group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                  bool with_silu);

// What a norm of a picture is made from, of all of it or of parts that are added up.
struct ChannelSums {
  std::vector<double> sums;  // [2, channels]: of the values, then of their squares
  std::int64_t pixels = 0;

  ChannelSums& operator+=(const ChannelSums& other);
};

// Of the rows and columns [begin, end) of x, [height, width, channels] bf16 or f32.
ChannelSums channel_sums(const Tensor& x, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t column_begin, std::int64_t column_end);

// group_norm with statistics that come from elsewhere.
Tensor group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                  bool with_silu, const ChannelSums& statistics);

}  // namespace zimage::ops
