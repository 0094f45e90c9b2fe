#include "core/check.h"
#include "errors.h"
#include "ops/elementwise.h"
#include "ops/int8.h"
#include "ops/linear.h"
#include "random_values.h"
#include "weight_formats.h"

namespace zimage::bench {
namespace {

constexpr std::int64_t kDim = 3840, kFfn = 10240;

Tensor random(const Shape& shape, double (Random::*draw)(), std::uint64_t seed) {
  Tensor x = empty(shape);
  fill_blocks(x.numel(), seed, [&](Random& numbers, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      x.data<float>()[i] = static_cast<float>((numbers.*draw)());
    }
  });
  return x;
}

void scale_channels(Tensor& x, const std::vector<float>& factors) {
  const auto channels = static_cast<std::int64_t>(factors.size());
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.data<float>()[i] *= factors[static_cast<std::size_t>(i % channels)];
  }
}

Tensor activations(const Shape& shape, bool is_gated, bool has_outliers) {
  Tensor x = random(shape, &Random::normal, 1);
  if (is_gated) x = ops::silu_mul(x, random(shape, &Random::normal, 2));
  if (has_outliers) scale_channels(x, channel_factors(shape[1], 10, 100, 3));
  return x;
}

Tensor weights(const Shape& shape, bool has_outliers) {
  Tensor w = random(shape, has_outliers ? &Random::heavy_tailed : &Random::normal, 4);
  if (has_outliers) scale_channels(w, channel_factors(shape[1], 10, 30, 5));
  return ops::cast(w, Dtype::kBf16);
}

void measure_product(std::string_view name, const Shape& x_shape, std::int64_t out,
                     bool has_outliers, const AddErrorRow& add) {
  const std::int64_t in = x_shape[1];
  const Tensor x = activations(x_shape, name == "w2", has_outliers);
  const Tensor w = weights({out, in}, has_outliers);
  const Tensor rounded = ops::cast(x, Dtype::kBf16);
  const Tensor exact = ops::cast(w, Dtype::kF32);
  const Tensor expected = ops::linear(x, exact, {}, Dtype::kF32);
  const auto in_eight_bits = [&](int rotation) {
    const auto matrix = ops::quantize_int8(w, rotation);
    return relative_error(ops::linear(rounded, matrix, {}, Dtype::kF32), expected);
  };
  ErrorRow row{str(name, " [", out, ", ", in, "], ", has_outliers ? "outliers" : "normal"),
               {{"bf16", relative_error(ops::linear(rounded, w, {}, Dtype::kF32), expected)},
                {"int8", in_eight_bits(1)},
                {"int8, turned", in_eight_bits(ops::int8_rotation(in))}}};
  for (const WeightFormat& format : weight_formats()) {
    const auto rows = format.quantize(exact);
    row.errors.emplace_back(format.name,
                            relative_error(ops::linear(rounded, *rows, {}, Dtype::kF32), expected));
  }
  add(row);
}

}  // namespace

void measure_products(std::int64_t rows, const AddErrorRow& add) {
  for (const bool has_outliers : {false, true}) {
    measure_product("q, k, v, out", {rows, kDim}, kDim, has_outliers, add);
    measure_product("w1, w3", {rows, kDim}, kFfn, has_outliers, add);
    measure_product("w2", {rows, kFfn}, kDim, has_outliers, add);
  }
}

}  // namespace zimage::bench
