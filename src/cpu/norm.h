#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

// The norms of ops/norm.h on the CPU: arguments checked, results allocated by the caller.
namespace zimage::cpu {

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& scale, Tensor& y);
void layer_norm(const Tensor& x, float eps, const Tensor& scale, Tensor& y);
void group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                bool with_silu, Tensor& y);
// sums: [2, channels], of the values and of their squares over so many pixels.
void group_norm(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias, float eps,
                bool with_silu, const std::vector<double>& sums, std::int64_t pixels, Tensor& y);
// Such sums over a part of x, [height, width, channels].
std::vector<double> channel_sums(const Tensor& x, std::int64_t row_begin, std::int64_t row_end,
                                 std::int64_t column_begin, std::int64_t column_end);

}  // namespace zimage::cpu
