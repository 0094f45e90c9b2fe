#include "ops/upsample_conv2d.h"

#include "cpu/conv2d.h"
#include "isa_testing.h"

namespace zimage {
namespace {

// Every output pixel from the nine pixels of the enlarged picture, in f64.
Tensor upsample_conv2d_f64(const Tensor& x, const Tensor& torch_weight, const Tensor& bias) {
  const std::int64_t height = x.dim(0), width = x.dim(1), in = x.dim(2);
  const std::int64_t out = torch_weight.dim(0);
  const auto xs = values_of(x), ws = values_of(torch_weight);
  std::vector<float> ys;
  for (std::int64_t row = 0; row < 2 * height; ++row) {
    for (std::int64_t column = 0; column < 2 * width; ++column) {
      for (std::int64_t c = 0; c < out; ++c) {
        double y = bias.defined() ? bias.data<float>()[c] : 0;
        for (std::int64_t tap = 0; tap < 9; ++tap) {
          const std::int64_t i = row + tap / 3 - 1, j = column + tap % 3 - 1;
          if (i < 0 || i >= 2 * height || j < 0 || j >= 2 * width) continue;
          for (std::int64_t k = 0; k < in; ++k) {
            y += double{xs[(i / 2 * width + j / 2) * in + k]} * ws[(c * in + k) * 9 + tap];
          }
        }
        ys.push_back(static_cast<float>(y));
      }
    }
  }
  return tensor_of({2 * height, 2 * width, out}, ys);
}

// Wide and tall ones have strips of one row and a short last strip.
constexpr struct {
  std::int64_t height, width, in, out;
} kSizes[] = {{1, 1, 1, 1},   {1, 3, 5, 2},    {4, 1, 3, 7},
              {9, 6, 16, 24}, {3, 1100, 2, 3}, {70, 31, 8, 9}};

TEST(UpsampleConv2d, MatchesTheConvolutionOfTheEnlargedPicture) {
  for (const auto& [height, width, in, out] : kSizes) {
    const Tensor weight = random_normal({out, in, 3, 3}, Dtype::kBf16, 2);
    const Tensor bias = random_normal({out}, Dtype::kF32, 3);
    for (const bool has_bias : {false, true}) {
      SCOPED_TRACE(str(height, " x ", width, ", ", in, " to ", out, has_bias ? " with bias" : ""));
      const Tensor b = has_bias ? bias : Tensor();
      const Tensor x = random_normal({height, width, in}, Dtype::kF32, 1);
      on_every_isa([&] {
        const Tensor y =
            ops::upsample_conv2d(x, ops::upsample_weight_from_torch(weight, Dtype::kF32), b);
        EXPECT_LE(relative_error(y, upsample_conv2d_f64(x, weight, b)), 8 * kF32Ulp);
      });
    }
  }
}

// Weights and result are rounded once each, by at most 2^-9; rms over many it is less.
TEST(UpsampleConv2d, RoundsSumsOfTapsOnceInBf16) {
  for (const auto& [height, width, in, out] : kSizes) {
    SCOPED_TRACE(str(height, " x ", width, ", ", in, " to ", out));
    const Tensor x = random_normal({height, width, in}, Dtype::kBf16, 1);
    const Tensor weight = random_normal({out, in, 3, 3}, Dtype::kBf16, 2);
    const Tensor expected = upsample_conv2d_f64(x, weight, {});
    const Tensor packed = ops::upsample_weight_from_torch(weight, Dtype::kBf16);
    for (const auto path : {cpu::Bf16Path::kDot, cpu::Bf16Path::kExpand}) {
      if (path == cpu::Bf16Path::kDot && !cpu::has_bf16_instructions()) continue;
      Tensor y = empty(expected.shape(), Dtype::kBf16);
      cpu::upsample_conv2d(x, packed, {}, y, path);
      EXPECT_LE(relative_error(y, expected), 2.0 * kBf16Epsilon);
    }
  }
}

TEST(UpsampleConv2d, AddsTheTapsThatFallOnOnePixel) {
  const Tensor torch = from_values({1, 1, 3, 3}, {1, 2, 4, 8, 16, 32, 64, 128, 256});
  const auto sums = values_of(ops::upsample_weight_from_torch(torch, Dtype::kF32));
  EXPECT_EQ(sums, (std::vector<float>{1, 6, 72, 432,        // even row, even column
                                      3, 4, 216, 288,       // even, odd
                                      9, 54, 64, 384,       // odd, even
                                      27, 36, 192, 256}));  // odd, odd
}

TEST(UpsampleConv2d, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    const Tensor x = random_normal({65, 60, 20}, dtype, 6);
    const Tensor weight =
        ops::upsample_weight_from_torch(random_normal({24, 20, 3, 3}, Dtype::kF32, 7), dtype);
    EXPECT_TRUE(is_thread_invariant([&] { return ops::upsample_conv2d(x, weight, {}); }));
  }
}

TEST(UpsampleConv2d, RejectsWhatDoesNotFit) {
  const Tensor x = zeros({2, 2, 3}), weight = zeros({4, 5, 2, 2, 3});
  const auto error = [](const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return error_of([&] { return ops::upsample_conv2d(x, weight, bias); });
  };
  EXPECT_EQ(error(zeros({2, 3}), weight, {}),
            "upsample_conv2d: x is [2, 3], expected [height, width, in]");
  EXPECT_EQ(error(x, zeros({4, 5, 3, 3, 3}), {}),
            "upsample_conv2d: weight [4, 5, 3, 3, 3] does not fit x [2, 2, 3]");
  EXPECT_EQ(error(x, zeros({4, 5, 2, 2, 3}, Dtype::kBf16), {}),
            "upsample_conv2d: weight is BF16, x is F32");
  EXPECT_EQ(error(x, weight, zeros({4})),
            "upsample_conv2d: bias [4] does not fit weight [4, 5, 2, 2, 3]");
  EXPECT_EQ(error(x, weight, zeros({5}, Dtype::kBf16)),
            "upsample_conv2d: bias is BF16, expected F32");
  EXPECT_EQ(error_of([] {
              return ops::upsample_weight_from_torch(zeros({5, 3, 1, 1}), {});
            }),
            "upsample_weight_from_torch: weight is [5, 3, 1, 1], expected [out, in, 3, 3]");
}

}  // namespace
}  // namespace zimage
