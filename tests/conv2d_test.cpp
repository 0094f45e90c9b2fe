#include "ops/conv2d.h"

#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/isa.h"
#include "testing.h"

namespace zimage {
namespace {

struct Reference {
  Tensor y;
  std::vector<double> bound;  // sum |x w| + |bias|: what rounding errors are relative to
};

Reference conv2d_f64(const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const ops::Conv2dOptions& o) {
  const std::int64_t height = x.dim(0), width = x.dim(1), in = x.dim(2);
  const std::int64_t out = weight.dim(0), kernel_h = weight.dim(1), kernel_w = weight.dim(2);
  const std::int64_t out_h = (height + o.pad_top + o.pad_bottom - kernel_h) / o.stride + 1;
  const std::int64_t out_w = (width + o.pad_left + o.pad_right - kernel_w) / o.stride + 1;
  const auto xs = values_of(x), ws = values_of(weight);
  const auto bs = bias.defined() ? values_of(bias) : std::vector<float>(out, 0.0f);

  Reference reference;
  std::vector<float> ys;
  for (std::int64_t row = 0; row < out_h; ++row) {
    for (std::int64_t column = 0; column < out_w; ++column) {
      for (std::int64_t c = 0; c < out; ++c) {
        double y = bs[c], bound = std::abs(y);
        for (std::int64_t i = 0; i < kernel_h; ++i) {
          for (std::int64_t j = 0; j < kernel_w; ++j) {
            const std::int64_t x_row = row * o.stride + i - o.pad_top;
            const std::int64_t x_column = column * o.stride + j - o.pad_left;
            if (x_row < 0 || x_row >= height || x_column < 0 || x_column >= width) continue;
            for (std::int64_t k = 0; k < in; ++k) {
              const double product = double{xs[(x_row * width + x_column) * in + k]} *
                                     ws[((c * kernel_h + i) * kernel_w + j) * in + k];
              y += product;
              bound += std::abs(product);
            }
          }
        }
        ys.push_back(static_cast<float>(y));
        reference.bound.push_back(bound);
      }
    }
  }
  reference.y = tensor_of({out_h, out_w, out}, ys);
  return reference;
}

// The errors of a long f32 sum in any order grow with sqrt(terms): 2^-24 each, a factor of eight to
// spare. Then one rounding to the dtype of y.
testing::AssertionResult is_near(const Tensor& y, const Reference& reference, std::int64_t terms) {
  if (!(y.shape() == reference.y.shape())) {
    return testing::AssertionFailure()
           << "shape " << str(y.shape()) << ", expected " << str(reference.y.shape());
  }
  const auto actual = values_of(y), expected = values_of(reference.y);
  const double rounding = y.dtype() == Dtype::kBf16 ? kBf16Epsilon : 0x1p-24;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double tolerance =
        8 * 0x1p-24 * std::sqrt(static_cast<double>(terms)) * reference.bound[i] +
        rounding * std::abs(expected[i]);
    if (!(std::abs(double{actual[i]} - expected[i]) <= tolerance)) {
      return testing::AssertionFailure()
             << "at " << i << ": " << actual[i] << ", expected " << expected[i];
    }
  }
  return testing::AssertionSuccess();
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

struct Sizes {
  std::int64_t height, width, in, out, kernel_h, kernel_w;
  ops::Conv2dOptions options;
};

constexpr ops::Conv2dOptions kSame{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
constexpr ops::Conv2dOptions kDown{.stride = 2, .pad_bottom = 1, .pad_right = 1};

// Strips of 1024 pixels: the wide pictures have strips of one row, the tall ones a short last
// strip.
const Sizes kAwkward[] = {
    {1, 1, 1, 1, 1, 1, {}},
    {1, 1, 3, 4, 3, 3, kSame},
    {2, 5, 4, 3, 3, 3, kSame},
    {9, 7, 33, 5, 3, 3, kSame},
    {8, 8, 16, 33, 3, 3, kDown},
    {7, 9, 3, 16, 3, 3, kDown},
    {7, 6, 5, 2, 1, 1, {}},
    {6, 7, 5, 2, 1, 1, {.stride = 2}},
    {3, 1100, 3, 4, 3, 3, kSame},
    {70, 31, 16, 17, 3, 3, kSame},
    {67, 64, 4, 8, 3, 3, kDown},
    {5, 6, 4, 8, 2, 3, {.pad_left = 2, .pad_bottom = 1}},
    {10, 11, 8, 16, 5, 1, {.stride = 3, .pad_top = 4, .pad_bottom = 3}},
    {4, 4, 512, 32, 3, 3, kSame},
};

std::string describe(const Sizes& s) {
  return str(s.height, " x ", s.width, ", ", s.in, " to ", s.out, " channels, kernel ", s.kernel_h,
             " x ", s.kernel_w, ", stride ", s.options.stride);
}

Tensor input_of(const Sizes& s, Dtype dtype) {
  return random_normal({s.height, s.width, s.in}, dtype, 1);
}
Tensor weight_of(const Sizes& s, Dtype dtype) {
  return random_normal({s.out, s.kernel_h, s.kernel_w, s.in}, dtype, 2);
}

TEST(Conv2d, MatchesF64ReferenceAtAnySize) {
  for (const Sizes& s : kAwkward) {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      for (const bool has_bias : {false, true}) {
        SCOPED_TRACE(str(describe(s), ", ", dtype, has_bias ? " with bias" : ""));
        const Tensor x = input_of(s, dtype), weight = weight_of(s, dtype);
        const Tensor bias = has_bias ? random_normal({s.out}, Dtype::kF32, 3) : Tensor();
        const Tensor y = ops::conv2d(x, weight, bias, s.options);
        EXPECT_EQ(y.dtype(), dtype);
        EXPECT_TRUE(
            is_near(y, conv2d_f64(x, weight, bias, s.options), s.in * s.kernel_h * s.kernel_w));
      }
    }
  }
}

// Small pictures take the instructions, large ones what is faster here: both, with any size.
TEST(Conv2d, MatchesF64ReferenceOnBothBf16Paths) {
  for (const Sizes& s : kAwkward) {
    SCOPED_TRACE(describe(s));
    const Tensor x = input_of(s, Dtype::kBf16), weight = weight_of(s, Dtype::kBf16);
    const Tensor bias = random_normal({s.out}, Dtype::kF32, 3);
    const Reference reference = conv2d_f64(x, weight, bias, s.options);
    const cpu::ConvShape shape{.height = s.height,
                               .width = s.width,
                               .in = s.in,
                               .out_height = reference.y.dim(0),
                               .out_width = reference.y.dim(1),
                               .out = s.out,
                               .kernel_height = s.kernel_h,
                               .kernel_width = s.kernel_w,
                               .stride = s.options.stride,
                               .pad_top = s.options.pad_top,
                               .pad_left = s.options.pad_left,
                               .pad_bottom = s.options.pad_bottom,
                               .pad_right = s.options.pad_right};
    for (const auto path : {cpu::Bf16Path::kDot, cpu::Bf16Path::kExpand}) {
      if (path == cpu::Bf16Path::kDot && !cpu::has_bf16_instructions()) continue;
      Tensor y = empty(reference.y.shape(), Dtype::kBf16);
      cpu::conv2d(shape, x, weight, bias, y, path);
      EXPECT_TRUE(is_near(y, reference, s.in * s.kernel_h * s.kernel_w));
    }
  }
}

TEST(Conv2d, DoesWithoutBf16Instructions) {
  const Tensor x = random_normal({9, 8, 16}, Dtype::kBf16, 4);
  const Tensor weight = random_normal({32, 3, 3, 16}, Dtype::kBf16, 5);
  const cpu::IsaScope scope(cpu::Isa::kAvx512);
  EXPECT_TRUE(is_near(ops::conv2d(x, weight, {}, kSame), conv2d_f64(x, weight, {}, kSame), 9 * 16));
}

TEST(Conv2d, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    for (const auto& options : {kSame, kDown}) {
      for (const cpu::Isa isa : {cpu::Isa::kAvx512, cpu::Isa::kBf16}) {
        const cpu::IsaScope isa_scope(isa);
        const Tensor x = random_normal({130, 60, 20}, dtype, 6);
        const Tensor weight = random_normal({40, 3, 3, 20}, dtype, 7);
        const auto run = [&](int threads) {
          const ThreadCount scope(threads);
          return ops::conv2d(x, weight, {}, options);
        };
        const Tensor expected = run(1);
        EXPECT_TRUE(same_bytes(run(2), expected));
        EXPECT_TRUE(same_bytes(run(3), expected));
      }
    }
  }
}

TEST(Conv2d, GivesTheSameBitsInsideATask) {
  const Tensor x = random_normal({40, 60, 8}, Dtype::kF32, 8);
  const Tensor weight = random_normal({16, 3, 3, 8}, Dtype::kF32, 9);
  const Tensor expected = ops::conv2d(x, weight, {}, kSame);
  const ThreadCount scope(2);
  std::vector<Tensor> results(4);
  parallel_for(4, [&](std::int64_t i) { results[i] = ops::conv2d(x, weight, {}, kSame); });
  for (const Tensor& y : results) EXPECT_TRUE(same_bytes(y, expected));
}

TEST(Conv2d, TakesWeightsOfTorch) {
  const Tensor torch = from_values({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor weight = ops::conv_weight_from_torch(torch);
  EXPECT_EQ(weight.shape(), (Shape{1, 1, 3, 2}));
  EXPECT_EQ(values_of(weight), (std::vector<float>{1, 4, 2, 5, 3, 6}));

  const Tensor half =
      ops::conv_weight_from_torch(tensor_of({1, 2, 1, 2}, {1, 2, 3, 4}, Dtype::kBf16));
  EXPECT_EQ(values_of(half), (std::vector<float>{1, 3, 2, 4}));
}

TEST(Conv2d, RejectsWhatDoesNotFit) {
  const Tensor x = zeros({4, 5, 3}), weight = zeros({2, 3, 3, 3});
  const auto error = [](const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ops::Conv2dOptions& options) {
    return error_of([&] { return ops::conv2d(x, weight, bias, options); });
  };
  EXPECT_EQ(error(zeros({4, 5}), weight, {}, {}),
            "conv2d: x is [4, 5], expected [height, width, in]");
  EXPECT_EQ(error(x, zeros({2, 3, 3, 4}), {}, {}),
            "conv2d: weight [2, 3, 3, 4] does not fit x [4, 5, 3]");
  EXPECT_EQ(error(x, zeros({3, 3, 3}), {}, {}),
            "conv2d: weight [3, 3, 3] does not fit x [4, 5, 3]");
  EXPECT_EQ(error(x, zeros({0, 3, 3, 3}), {}, {}),
            "conv2d: weight [0, 3, 3, 3] does not fit x [4, 5, 3]");
  EXPECT_EQ(error(x, zeros({2, 3, 3, 3}, Dtype::kBf16), {}, {}),
            "conv2d: weight is BF16, x is F32");
  EXPECT_EQ(error(zeros({4, 5, 3}, Dtype::kU8), weight, {}, {}),
            "conv2d: x is U8, expected F32 or BF16");
  EXPECT_EQ(error(x, weight, zeros({3}), {}), "conv2d: bias [3] does not fit weight [2, 3, 3, 3]");
  EXPECT_EQ(error(x, weight, zeros({2}, Dtype::kBf16), {}), "conv2d: bias is BF16, expected F32");
  EXPECT_EQ(error(x, weight, {}, {.stride = 0}), "conv2d: stride is 0, expected at least 1");
  EXPECT_EQ(error(x, weight, {}, {.pad_top = 3}),
            "conv2d: a padding of 3 rows does not fit weight [2, 3, 3, 3]");
  EXPECT_EQ(error(x, weight, {}, {.pad_right = -1}),
            "conv2d: a padding of -1 columns does not fit weight [2, 3, 3, 3]");
  EXPECT_EQ(error(zeros({2, 5, 3}), weight, {}, {}),
            "conv2d: x [2, 5, 3] is smaller than the kernel of weight [2, 3, 3, 3]");
  EXPECT_EQ(error(zeros({0, 5, 3}), weight, {}, {.pad_top = 2, .pad_bottom = 2}),
            "conv2d: x [0, 5, 3] is smaller than the kernel of weight [2, 3, 3, 3]");
  EXPECT_EQ(error_of([] {
              return ops::conv_weight_from_torch(zeros({2, 3}));
            }),
            "conv_weight_from_torch: weight is [2, 3], expected [out, in, kernel_h, kernel_w]");
}

}  // namespace
}  // namespace zimage
