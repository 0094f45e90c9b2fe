#include "cpu/mlx.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"
#include "cpu/kernels/mlx.h"

namespace zimage::cpu {
namespace {

constexpr std::int64_t kFp4Group = 32;
constexpr int kExponentBias = 127, kNotFinite = 255;  // of e8m0

const std::uint32_t* words_of(const Tensor& words, std::int64_t row) {
  return reinterpret_cast<const std::uint32_t*>(words.raw()) + row * words.dim(1);
}
std::uint32_t* words_of(Tensor& words, std::int64_t row) {
  return reinterpret_cast<std::uint32_t*>(words.raw()) + row * words.dim(1);
}

// Scales of some groups in f32.
constexpr std::int64_t kGroupsAtOnce = 64;
using GroupValues = std::array<float, kGroupsAtOnce>;

// run(groups) for every part of a piece that has no more groups than that.
template <class Run>
void in_parts(const MlxPiece& piece, Run&& run) {
  const std::int64_t end = piece.channel + piece.n;
  for (std::int64_t c = piece.channel; c < end;) {
    const std::int64_t group = c / piece.group_size;
    const std::int64_t stop = std::min((group + kGroupsAtOnce) * piece.group_size, end);
    run(MlxPiece{piece.row, c, stop - c, piece.group_size}, group,
        (stop - 1) / piece.group_size - group + 1);
    c = stop;
  }
}

// Groups [group, group + n) of a row.
void to_float(const Tensor& values, std::int64_t row, std::int64_t group, std::int64_t n,
              GroupValues& result) {
  const auto at = static_cast<std::size_t>(row * values.dim(1) + group) * size_of(values.dtype());
  cast_kernels().cast(values.raw() + at, values.dtype(), result.data(), Dtype::kF32, n);
}

// 2 ^ (exponent - 127), also where that is subnormal; 255 is NaN.
float power_of_two(std::uint8_t exponent) {
  if (exponent == kNotFinite) return std::numeric_limits<float>::quiet_NaN();
  return std::bit_cast<float>(exponent == 0 ? std::uint32_t{1} << 22
                                            : std::uint32_t{exponent} << 23);
}

// The smallest and largest of a group, both NaN where something in it is not finite.
struct Extremes {
  float least, most;
};
Extremes extremes_of(const float* x, std::int64_t n) {
  float least = x[0], most = x[0], zero = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    least = std::min(least, x[i]);
    most = std::max(most, x[i]);
    zero += x[i] * 0;  // NaN for what is not finite
  }
  return {least + zero, most + zero};
}

struct Affine {
  float scale, bias;
};
// As mx.quantize(): the end of larger magnitude is met exactly, and zero is if it is between them.
Affine affine_of(const Extremes& x, int bits) {
  constexpr float kLeast = 1e-7f;
  const auto largest = static_cast<float>((1 << bits) - 1);
  const bool is_low = std::abs(x.least) > std::abs(x.most);
  const float step = std::max((x.most - x.least) / largest, kLeast);
  const float scale = is_low ? step : -step, edge = is_low ? x.least : x.most;
  const float code = std::nearbyint(edge / scale);
  if (!std::isfinite(edge) || !std::isfinite(scale)) {
    return {std::numeric_limits<float>::quiet_NaN(), 0};
  }
  return code == 0 ? Affine{scale, 0} : Affine{edge / code, edge};
}

// The power of two from which on the largest magnitude is no more than 6.
std::uint8_t exponent_of(const Extremes& x) {
  const float largest = std::max(std::abs(x.least), std::abs(x.most)), scale = largest / 6;
  if (!std::isfinite(largest)) return kNotFinite;
  if (scale == 0) return kExponentBias;
  const float exponent = std::ceil(std::log2(scale)) + kExponentBias;
  return static_cast<std::uint8_t>(std::clamp(exponent, 0.0f, 254.0f));
}

// run(row, group, its weights, its words)
template <class Run>
void for_groups(const Tensor& weight, std::int64_t group_size, int bits, Tensor& words, Run&& run) {
  const std::int64_t in = weight.dim(1), groups = in / group_size;
  parallel_blocks(weight.dim(0), rows_per_block(in), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t i = 0; i < groups; ++i) {
        run(row * groups + i, weight.data<float>() + row * in + i * group_size,
            words_of(words, row) + i * group_size * bits / 32);
      }
    }
  });
}

}  // namespace

void decode_affine(const Tensor& words, const Tensor& scales, const Tensor& biases,
                   const MlxPiece& piece, float* values) {
  const bool is_8_bit = words.dim(1) * 4 == scales.dim(1) * piece.group_size;
  const auto decode = is_8_bit ? mlx_kernels().decode_affine8 : mlx_kernels().decode_affine4;
  GroupValues scale, bias;
  in_parts(piece, [&](const MlxPiece& part, std::int64_t group, std::int64_t groups) {
    to_float(scales, part.row, group, groups, scale);
    to_float(biases, part.row, group, groups, bias);
    decode({words_of(words, part.row), part.group_size, scale.data(), bias.data(), part.channel,
            part.n, values + (part.channel - piece.channel)});
  });
}

void decode_mxfp4(const Tensor& words, const Tensor& scales, const MlxPiece& piece, float* values) {
  GroupValues scale;
  in_parts(piece, [&](const MlxPiece& part, std::int64_t group, std::int64_t groups) {
    const std::uint8_t* const exponents =
        scales.data<std::uint8_t>() + part.row * scales.dim(1) + group;
    std::transform(exponents, exponents + groups, scale.begin(), power_of_two);
    mlx_kernels().decode_fp4({words_of(words, part.row), part.group_size, scale.data(), nullptr,
                              part.channel, part.n, values + (part.channel - piece.channel)});
  });
}

void quantize_affine(const Tensor& weight, int bits, std::int64_t group_size, Tensor& words,
                     Tensor& scales, Tensor& biases) {
  const auto encode = bits == 8 ? mlx_kernels().encode_affine8 : mlx_kernels().encode_affine4;
  for_groups(weight, group_size, bits, words,
             [&](std::int64_t group, const float* x, std::uint32_t* packed) {
               const Affine affine = affine_of(extremes_of(x, group_size), bits);
               scales.data<float>()[group] = affine.scale;
               biases.data<float>()[group] = affine.bias;
               encode({x, group_size, affine.scale, affine.bias, packed});
             });
}

void quantize_mxfp4(const Tensor& weight, Tensor& words, Tensor& scales) {
  for_groups(weight, kFp4Group, 4, words,
             [&](std::int64_t group, const float* x, std::uint32_t* packed) {
               const std::uint8_t exponent = exponent_of(extremes_of(x, kFp4Group));
               scales.data<std::uint8_t>()[group] = exponent;
               mlx_kernels().encode_fp4({x, kFp4Group, power_of_two(exponent), 0, packed});
             });
}

}  // namespace zimage::cpu
