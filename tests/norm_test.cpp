#include "ops/norm.h"

#include <cmath>

#include "isa_testing.h"

namespace zimage {
namespace {

constexpr std::int64_t kWidths[] = {1, 15, 16, 17, 33, 128, 3840};

// A few units in the last place, of the sums (at most 240 terms in a chain) and the products.
constexpr double kNormError = 16 * kF32Ulp;

struct RowStatistics {
  double mean, mean_square, variance;
};

RowStatistics statistics(const float* row, std::int64_t dim) {
  double sum = 0, square_sum = 0, deviation = 0;
  for (std::int64_t i = 0; i < dim; ++i) sum += row[i], square_sum += double{row[i]} * row[i];
  const double mean = sum / dim;
  for (std::int64_t i = 0; i < dim; ++i) deviation += (row[i] - mean) * (row[i] - mean);
  return {mean, square_sum / dim, deviation / dim};
}

enum class Kind { kRms, kLayer };

Tensor norm_f64(Kind kind, const Tensor& x, const Tensor& weight, double eps, const Tensor& scale) {
  const std::int64_t dim = x.dim(-1);
  std::vector<float> values = values_of(x);
  for (std::size_t first = 0; first < values.size(); first += dim) {
    const RowStatistics s = statistics(&values[first], dim);
    const double mean = kind == Kind::kLayer ? s.mean : 0;
    const double spread = kind == Kind::kLayer ? s.variance : s.mean_square;
    for (std::int64_t i = 0; i < dim; ++i) {
      double y = (values[first + i] - mean) / std::sqrt(spread + eps);
      if (weight.defined()) y *= weight.data<float>()[i];
      if (scale.defined()) y *= scale.data<float>()[i];
      values[first + i] = static_cast<float>(y);
    }
  }
  return tensor_of(x.shape(), values);
}

Tensor group_norm_f64(const Tensor& x, int groups, const Tensor& weight, const Tensor& bias,
                      double eps, bool with_silu) {
  const std::int64_t channels = x.dim(-1), size = channels / groups;
  std::vector<float> values = values_of(x);
  for (int group = 0; group < groups; ++group) {
    std::vector<float> members;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (static_cast<std::int64_t>(i) % channels / size == group) members.push_back(values[i]);
    }
    const RowStatistics s = statistics(members.data(), static_cast<std::int64_t>(members.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int64_t c = static_cast<std::int64_t>(i) % channels;
      if (c / size != group) continue;
      double y = (values[i] - s.mean) / std::sqrt(s.variance + eps) * weight.data<float>()[c] +
                 bias.data<float>()[c];
      if (with_silu) y /= 1 + std::exp(-y);
      values[i] = static_cast<float>(y);
    }
  }
  return tensor_of(x.shape(), values);
}

TEST(RmsNorm, MatchesF64ReferenceAtAnyWidthAndDtype) {
  on_every_isa([] {
    for (const std::int64_t dim : kWidths) {
      for (const Dtype in : {Dtype::kF32, Dtype::kBf16}) {
        for (const Dtype out : {Dtype::kF32, Dtype::kBf16}) {
          SCOPED_TRACE(str("dim = ", dim, ", ", in, " to ", out));
          const Tensor x = random_normal({2, 3, dim}, in, dim);
          const Tensor weight = random_normal({dim}, Dtype::kF32, dim + 1);
          const Tensor scale = random_normal({dim}, Dtype::kF32, dim + 2);
          const Tensor plain = ops::rms_norm(x, weight, 1e-5f, out);
          EXPECT_EQ(plain.dtype(), out);
          EXPECT_TRUE(all_close(plain, norm_f64(Kind::kRms, x, weight, 1e-5f, {}),
                                tolerance(out, kNormError)));
          EXPECT_TRUE(all_close(ops::rms_norm(x, weight, 1e-5f, out, scale),
                                norm_f64(Kind::kRms, x, weight, 1e-5f, scale),
                                tolerance(out, kNormError)));
        }
      }
    }
  });
}

TEST(LayerNorm, MatchesF64ReferenceAtAnyWidthAndDtype) {
  on_every_isa([] {
    for (const std::int64_t dim : kWidths) {
      for (const Dtype in : {Dtype::kF32, Dtype::kBf16}) {
        for (const Dtype out : {Dtype::kF32, Dtype::kBf16}) {
          SCOPED_TRACE(str("dim = ", dim, ", ", in, " to ", out));
          const Tensor x = random_normal({5, dim}, in, dim);
          const Tensor scale = random_normal({dim}, Dtype::kF32, dim + 2);
          // The mean is off by units of its own last place: absolute.
          EXPECT_TRUE(all_close(ops::layer_norm(x, 1e-5f, out),
                                norm_f64(Kind::kLayer, x, {}, 1e-5f, {}),
                                tolerance(out, kNormError), kNormError));
          EXPECT_TRUE(all_close(ops::layer_norm(x, 1e-5f, out, scale),
                                norm_f64(Kind::kLayer, x, {}, 1e-5f, scale),
                                tolerance(out, kNormError), kNormError));
        }
      }
    }
  });
}

TEST(LayerNorm, KeepsTheVarianceBesideALargeMean) {
  on_every_isa([] {
    std::vector<float> values(33);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 4096.0f + static_cast<float>(i % 2);
    const Tensor x = tensor_of({1, 33}, values);
    // The mean rounds to a unit of 4096, 2^-11, against a deviation of 1/2.
    EXPECT_TRUE(all_close(ops::layer_norm(x, 1e-5f, Dtype::kF32),
                          norm_f64(Kind::kLayer, x, {}, 1e-5f, {}), 0, 0x1p-10));
  });
}

TEST(RowNorms, TakeRowsOfZeros) {
  on_every_isa([] {
    const Tensor zero = zeros({2, 17});
    const Tensor ones = tensor_of({17}, std::vector<float>(17, 1.0f));
    EXPECT_TRUE(all_close(ops::rms_norm(zero, ones, 1e-5f, Dtype::kF32), zero, 0));
    EXPECT_TRUE(all_close(ops::layer_norm(zero, 1e-5f, Dtype::kF32), zero, 0));
  });
}

TEST(RowNorms, TakeNoRows) {
  const Tensor weight = zeros({4});
  EXPECT_EQ(ops::rms_norm(zeros({0, 4}), weight, 1e-5f, Dtype::kBf16).shape(), (Shape{0, 4}));
  EXPECT_EQ(ops::layer_norm(zeros({0, 4}), 1e-5f, Dtype::kBf16).shape(), (Shape{0, 4}));
}

TEST(RowNorms, SpreadNaNOverItsRowOnly) {
  on_every_isa([] {
    Tensor x = random_normal({2, 33}, Dtype::kF32, 1);
    x.data<float>()[20] = NAN;
    const Tensor weight = tensor_of({33}, std::vector<float>(33, 1.0f));
    for (const Tensor& y :
         {ops::rms_norm(x, weight, 1e-5f, Dtype::kBf16), ops::layer_norm(x, 1e-5f, Dtype::kBf16)}) {
      const std::vector<float> values = values_of(y);
      for (int i = 0; i < 66; ++i) EXPECT_EQ(std::isnan(values[i]), i < 33) << i;
    }
  });
}

TEST(GroupNorm, MatchesF64ReferenceAtAnySize) {
  struct Case {
    Shape shape;
    int groups;
  };
  on_every_isa([] {
    for (const auto& [shape, groups] : {Case{{1, 1, 4}, 1}, Case{{3, 5, 15}, 3}, Case{{7, 17}, 17},
                                        Case{{2, 9, 33}, 11}, Case{{40, 50, 128}, 32}}) {
      for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
        for (const bool with_silu : {false, true}) {
          SCOPED_TRACE(str(shape, " ", dtype, ", groups = ", groups, ", silu = ", with_silu));
          const Tensor x = random_normal(shape, dtype, 1);
          const Tensor weight = random_normal({shape[-1]}, Dtype::kF32, 2);
          const Tensor bias = random_normal({shape[-1]}, Dtype::kF32, 3);
          const Tensor y = ops::group_norm(x, groups, weight, bias, 1e-6f, with_silu);
          EXPECT_EQ(y.dtype(), dtype);
          // x * factor + shift cancels: absolute, of terms of size 10.
          EXPECT_TRUE(all_close(y, group_norm_f64(x, groups, weight, bias, 1e-6f, with_silu),
                                tolerance(dtype, 4 * kF32Ulp), 20 * kF32Ulp));
        }
      }
    }
  });
}

TEST(GroupNorm, KeepsTheVarianceBesideALargeMean) {
  on_every_isa([] {
    std::vector<float> values(1000 * 4);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 4096.0f + static_cast<float>(i % 3);
    const Tensor x = tensor_of({1000, 4}, values);
    const Tensor ones = tensor_of({4}, std::vector<float>(4, 1.0f));
    // factor and shift round once each, x * factor is 5000: 5000 * 2^-24 twice.
    EXPECT_TRUE(all_close(ops::group_norm(x, 1, ones, zeros({4}), 1e-6f, false),
                          group_norm_f64(x, 1, ones, zeros({4}), 1e-6f, false), 0, 1e-3));
  });
}

TEST(GroupNorm, ShowsInfinityAsNaN) {
  on_every_isa([] {
    Tensor x = random_normal({10, 8}, Dtype::kF32, 1);
    x.data<float>()[3] = INFINITY;
    const Tensor ones = tensor_of({8}, std::vector<float>(8, 1.0f));
    const std::vector<float> y = values_of(ops::group_norm(x, 2, ones, zeros({8}), 1e-6f, true));
    for (int i = 0; i < 80; ++i) EXPECT_EQ(std::isnan(y[i]), i % 8 < 4) << i;
  });
}

TEST(Norms, DoNotDependOnThreads) {
  on_every_isa([] {
    const Tensor x = random_normal({300, 3840}, Dtype::kF32, 1);
    const Tensor weight = random_normal({3840}, Dtype::kF32, 2);
    EXPECT_TRUE(is_thread_invariant([&] { return ops::rms_norm(x, weight, 1e-5f, Dtype::kBf16); }));
    EXPECT_TRUE(is_thread_invariant([&] { return ops::layer_norm(x, 1e-5f, Dtype::kF32); }));
    EXPECT_TRUE(
        is_thread_invariant([&] { return ops::group_norm(x, 32, weight, weight, 1e-6f, true); }));
  });
}

TEST(RmsNorm, RejectsWhatDoesNotFit) {
  const Tensor x = zeros({2, 3}), w = zeros({3});
  const auto norm = [](const Tensor& x, const Tensor& weight, const Tensor& scale = {},
                       Dtype out = Dtype::kF32) {
    return error_of([&] { return ops::rms_norm(x, weight, 1e-5f, out, scale); });
  };
  EXPECT_EQ(norm(x, zeros({4})), "rms_norm: weight [4] does not fit x [2, 3]");
  EXPECT_EQ(norm(x, zeros({3}, Dtype::kBf16)), "rms_norm: weight is BF16, expected F32");
  EXPECT_EQ(norm(x, {}), "rms_norm: weight is missing");
  EXPECT_EQ(norm(x, w, zeros({1, 3})), "rms_norm: scale [1, 3] does not fit x [2, 3]");
  EXPECT_EQ(norm(zeros({2, 3}, Dtype::kI32), w), "rms_norm: x is I32, expected F32 or BF16");
  EXPECT_EQ(norm(x, w, {}, Dtype::kF16), "rms_norm: the result is F16, expected F32 or BF16");
  EXPECT_EQ(norm(zeros({}), w), "rms_norm: x [] has no channels");
  EXPECT_EQ(norm(zeros({2, 0}), w), "rms_norm: x [2, 0] has no channels");
}

TEST(LayerNorm, RejectsWhatDoesNotFit) {
  EXPECT_EQ(error_of([] {
              return ops::layer_norm(zeros({2, 3}), 1e-5f, Dtype::kF32, zeros({2}));
            }),
            "layer_norm: scale [2] does not fit x [2, 3]");
}

TEST(GroupNorm, RejectsWhatDoesNotFit) {
  const Tensor x = zeros({2, 2, 6}), w = zeros({6});
  const auto norm = [&](int groups, const Tensor& weight, const Tensor& bias) {
    return error_of([&] { return ops::group_norm(x, groups, weight, bias, 1e-6f, false); });
  };
  EXPECT_EQ(norm(4, w, w), "group_norm: the 6 channels of x [2, 2, 6] do not divide into 4 groups");
  EXPECT_EQ(norm(0, w, w), "group_norm: the 6 channels of x [2, 2, 6] do not divide into 0 groups");
  EXPECT_EQ(norm(2, zeros({2}), w), "group_norm: weight [2] does not fit x [2, 2, 6]");
  EXPECT_EQ(norm(2, w, {}), "group_norm: bias is missing");
}

TEST(ChannelSums, OfPartsAddUpToTheStatisticsOfTheWhole) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    const Tensor x = random_normal({5, 7, 12}, dtype, 1);
    const Tensor weight = random_normal({12}, Dtype::kF32, 2);
    const Tensor bias = random_normal({12}, Dtype::kF32, 3);
    ops::ChannelSums sums;
    for (const auto& [top, bottom] : {std::pair{0, 2}, {2, 5}}) {
      for (const auto& [left, right] : {std::pair{0, 3}, {3, 7}}) {
        sums += ops::channel_sums(x, top, bottom, left, right);
      }
    }
    EXPECT_EQ(sums.pixels, 35);
    for (const bool with_silu : {false, true}) {
      const Tensor expected = ops::group_norm(x, 4, weight, bias, 1e-6f, with_silu);
      const Tensor result = ops::group_norm(x, 4, weight, bias, 1e-6f, with_silu, sums);
      EXPECT_TRUE(all_close(result, expected, dtype == Dtype::kF32 ? 1e-5 : 0x1p-7, 1e-6));
    }
  }
}

TEST(ChannelSums, RefuseWhatDoesNotFit) {
  const Tensor x = zeros({2, 2, 4}), vector = zeros({4});
  EXPECT_EQ(error_of([&] { return ops::channel_sums(x, 0, 3, 0, 2).pixels; }),
            "channel_sums: rows 0 to 3, columns 0 to 2 of x [2, 2, 4]");
  EXPECT_EQ(error_of([&] { return ops::group_norm(x, 2, vector, vector, 1e-6f, false, {}); }),
            "group_norm: statistics of 0 channels and 0 pixels do not fit x [2, 2, 4]");
}

}  // namespace
}  // namespace zimage
