#include "ops/rope.h"

#include <cmath>

#include "isa_testing.h"

namespace zimage {
namespace {

using ops::RopePairs;

ops::RopeTable rope_table(std::int64_t tokens, std::int64_t half) {
  const Shape shape{tokens, half};
  std::vector<float> cos(shape.numel()), sin(shape.numel());
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const double angle = 0.37 * static_cast<double>(i % half + 1) * static_cast<double>(i / half);
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
  return {tensor_of(shape, cos), tensor_of(shape, sin)};
}

Tensor rms_norm_rope_f64(const Tensor& x, const Tensor& weight, double eps,
                         const ops::RopeTable& table, RopePairs pairs) {
  const std::int64_t heads = x.dim(1), dim = x.dim(2), half = dim / 2;
  const std::vector<float> in = values_of(x);
  std::vector<float> out(in.size());
  for (std::int64_t row = 0; row < x.dim(0) * heads; ++row) {
    std::vector<double> head(in.begin() + row * dim, in.begin() + (row + 1) * dim);
    if (weight.defined()) {
      double square_sum = 0;
      for (const double v : head) square_sum += v * v;
      for (std::int64_t i = 0; i < dim; ++i) {
        head[i] *= weight.data<float>()[i] / std::sqrt(square_sum / dim + eps);
      }
    }
    for (std::int64_t i = 0; i < half; ++i) {
      const bool is_interleaved = pairs == RopePairs::kInterleaved;
      const std::int64_t a = is_interleaved ? 2 * i : i, b = is_interleaved ? 2 * i + 1 : i + half;
      const double c = table.cos.data<float>()[row / heads * half + i];
      const double s = table.sin.data<float>()[row / heads * half + i];
      out[row * dim + a] = static_cast<float>(head[a] * c - head[b] * s);
      out[row * dim + b] = static_cast<float>(head[a] * s + head[b] * c);
    }
  }
  return tensor_of(x.shape(), out);
}

TEST(RmsNormRope, MatchesF64ReferenceInBothLayoutsAtAnyWidth) {
  on_every_isa([] {
    for (const std::int64_t dim : {2, 8, 16, 30, 32, 34, 66, 128}) {
      for (const RopePairs pairs : {RopePairs::kInterleaved, RopePairs::kHalves}) {
        for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
          SCOPED_TRACE(str("d = ", dim, " ", dtype, ", halves = ", pairs == RopePairs::kHalves));
          const Tensor x = random_normal({5, 3, dim}, dtype, dim);
          const ops::RopeTable table = rope_table(5, dim / 2);
          const Tensor weight = random_normal({dim}, Dtype::kF32, dim + 1);
          for (const Tensor& w : {weight, Tensor{}}) {
            const Tensor y = ops::rms_norm_rope(x, w, 1e-6f, table, pairs);
            EXPECT_EQ(y.dtype(), dtype);
            // The two products, of size 10, may cancel: absolute.
            EXPECT_TRUE(all_close(y, rms_norm_rope_f64(x, w, 1e-6f, table, pairs),
                                  tolerance(dtype, 4 * kF32Ulp), 20 * kF32Ulp));
          }
        }
      }
    }
  });
}

TEST(RmsNormRope, TurnsAQuarterExactly) {
  const ops::RopeTable quarter{from_values({1, 2}, {0, 0}), from_values({1, 2}, {1, 1})};
  const Tensor x = from_values({1, 1, 4}, {1, 2, 3, 4});
  on_every_isa([&] {
    EXPECT_EQ(values_of(ops::rms_norm_rope(x, {}, 0, quarter, RopePairs::kInterleaved)),
              (std::vector<float>{-2, 1, -4, 3}));
    EXPECT_EQ(values_of(ops::rms_norm_rope(x, {}, 0, quarter, RopePairs::kHalves)),
              (std::vector<float>{-3, -4, 1, 2}));
  });
}

TEST(RmsNormRope, DoesNotDependOnThreads) {
  on_every_isa([] {
    const Tensor x = random_normal({500, 30, 128}, Dtype::kBf16, 1);
    const Tensor weight = random_normal({128}, Dtype::kF32, 2);
    const ops::RopeTable table = rope_table(500, 64);
    for (const RopePairs pairs : {RopePairs::kInterleaved, RopePairs::kHalves}) {
      EXPECT_TRUE(
          is_thread_invariant([&] { return ops::rms_norm_rope(x, weight, 1e-6f, table, pairs); }));
    }
  });
}

TEST(RmsNormRope, RejectsWhatDoesNotFit) {
  const auto rope = [](const Tensor& x, const Tensor& weight, const ops::RopeTable& table) {
    return error_of(
        [&] { return ops::rms_norm_rope(x, weight, 1e-6f, table, RopePairs::kHalves); });
  };
  const Tensor x = zeros({2, 3, 4});
  const ops::RopeTable table = rope_table(2, 2);
  EXPECT_EQ(rope(zeros({2, 3, 5}), {}, table),
            "rms_norm_rope: x is [2, 3, 5], expected [tokens, heads, d] with even d");
  EXPECT_EQ(rope(zeros({2, 4}), {}, table),
            "rms_norm_rope: x is [2, 4], expected [tokens, heads, d] with even d");
  EXPECT_EQ(rope(zeros({2, 3, 4}, Dtype::kF16), {}, table),
            "rms_norm_rope: x is F16, expected F32 or BF16");
  EXPECT_EQ(rope(x, zeros({3}), table), "rms_norm_rope: weight [3] does not fit x [2, 3, 4]");
  EXPECT_EQ(rope(x, zeros({4}, Dtype::kBf16), table),
            "rms_norm_rope: weight is BF16, expected F32");
  EXPECT_EQ(rope(x, {}, rope_table(3, 2)),
            "rms_norm_rope: cos [3, 2] and sin [3, 2] do not fit x [2, 3, 4]");
  EXPECT_EQ(rope(x, {}, {zeros({2, 2}, Dtype::kBf16), zeros({2, 2})}),
            "rms_norm_rope: cos is BF16 and sin F32, expected F32");
}

}  // namespace
}  // namespace zimage
