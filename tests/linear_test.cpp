#include "ops/linear.h"

#include <omp.h>

#include <cstring>

#include "cpu/isa.h"
#include "cpu/linear.h"
#include "testing.h"

namespace zimage {
namespace {

struct Reference {
  Tensor y;                   // rounded to f32
  std::vector<double> bound;  // sum |x w| + |bias|: what rounding errors are relative to
};

Reference linear_f64(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const std::int64_t in = weight.dim(1), out = weight.dim(0), rows = x.numel() / in;
  const auto xs = values_of(x), ws = values_of(weight);
  const auto bs = bias.defined() ? values_of(bias) : std::vector<float>(out, 0.0f);
  Reference reference;
  std::vector<float> ys;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      double y = bs[o], bound = std::abs(y);
      for (std::int64_t i = 0; i < in; ++i) {
        const double product = double{xs[r * in + i]} * ws[o * in + i];
        y += product;
        bound += std::abs(product);
      }
      ys.push_back(static_cast<float>(y));
      reference.bound.push_back(bound);
    }
  }
  Shape shape = x.shape();
  shape[-1] = out;
  reference.y = tensor_of(shape, ys);
  return reference;
}

// The errors of a long f32 sum in any order grow with sqrt(terms): 2^-24 each, a factor of eight to
// spare. Then one rounding to the dtype of y.
testing::AssertionResult is_near(const Tensor& y, const Reference& reference, std::int64_t terms) {
  if (!(y.shape() == reference.y.shape())) {
    return testing::AssertionFailure() << "shape " << str(y.shape());
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
  std::int64_t rows, in, out;
};

// One row, odd numbers, just past the edges of tiles (6 rows, 16 or 64 columns), blocks (64
// columns, 1280 channels) and strips (2304 rows).
constexpr Sizes kAwkward[] = {{1, 1, 1},      {1, 33, 7},     {2, 1, 129},   {3, 257, 1},
                              {31, 64, 128},  {33, 100, 127}, {65, 48, 300}, {577, 17, 130},
                              {40, 2051, 65}, {2305, 3, 5}};

TEST(Linear, MatchesF64ReferenceAtAnySize) {
  for (const auto [rows, in, out] : kAwkward) {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      for (const Dtype out_dtype : {Dtype::kF32, Dtype::kBf16}) {
        for (const bool has_bias : {false, true}) {
          SCOPED_TRACE(str(rows, " x ", in, " x ", out, ", ", dtype, " to ", out_dtype,
                           has_bias ? " with bias" : ""));
          const Tensor x = random_normal({rows, in}, dtype, 1);
          const Tensor weight = random_normal({out, in}, dtype, 2);
          const Tensor bias = has_bias ? random_normal({out}, Dtype::kF32, 3) : Tensor();
          const Tensor y = ops::linear(x, weight, bias, out_dtype);
          EXPECT_EQ(y.dtype(), out_dtype);
          EXPECT_TRUE(is_near(y, linear_f64(x, weight, bias), in));
        }
      }
    }
  }
}

TEST(Linear, MatchesF64ReferenceOnBothBf16Paths) {
  for (const auto [rows, in, out] : kAwkward) {
    const Tensor x = random_normal({rows, in}, Dtype::kBf16, 4);
    const Tensor weight = random_normal({out, in}, Dtype::kBf16, 5);
    const Tensor bias = random_normal({out}, Dtype::kF32, 6);
    const Reference reference = linear_f64(x, weight, bias);
    for (const auto path : {cpu::Bf16Path::kDot, cpu::Bf16Path::kExpand}) {
      if (path == cpu::Bf16Path::kDot && !cpu::has_bf16_instructions()) continue;
      for (const Dtype out_dtype : {Dtype::kF32, Dtype::kBf16}) {
        Tensor y = empty({rows, out}, out_dtype);
        cpu::linear(x, weight, bias, y, path);
        EXPECT_TRUE(is_near(y, reference, in)) << rows << " x " << in << " x " << out;
      }
    }
  }
}

TEST(Linear, DoesWithoutBf16Instructions) {
  const Tensor x = random_normal({5, 70}, Dtype::kBf16, 7);
  const Tensor weight = random_normal({9, 70}, Dtype::kBf16, 8);
  const cpu::IsaScope scope(cpu::Isa::kAvx512);
  EXPECT_TRUE(is_near(ops::linear(x, weight, {}, Dtype::kBf16), linear_f64(x, weight, {}), 70));
}

TEST(Linear, KeepsTheOuterAxes) {
  const Tensor x = random_normal({2, 3, 5}, Dtype::kF32, 9);
  const Tensor weight = random_normal({4, 5}, Dtype::kF32, 10);
  EXPECT_TRUE(is_near(ops::linear(x, weight, {}, Dtype::kF32), linear_f64(x, weight, {}), 5));
}

TEST(Linear, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    for (const std::int64_t rows : {1, 40, 700}) {
      const Tensor x = random_normal({rows, 1300}, dtype, 11);
      const Tensor weight = random_normal({650, 1300}, dtype, 12);
      for (const auto path : {cpu::Bf16Path::kDot, cpu::Bf16Path::kExpand}) {
        if (path == cpu::Bf16Path::kDot && !cpu::has_bf16_instructions()) continue;
        const auto run = [&](int threads) {
          const ThreadCount scope(threads);
          Tensor y = empty({rows, 650}, Dtype::kF32);
          cpu::linear(x, weight, {}, y, path);
          return y;
        };
        const Tensor expected = run(1);
        EXPECT_TRUE(same_bytes(run(2), expected));
        EXPECT_TRUE(same_bytes(run(3), expected));
      }
    }
  }
}

TEST(Linear, GivesTheSameBitsInsideATask) {
  const Tensor x = random_normal({40, 300}, Dtype::kF32, 13);
  const Tensor weight = random_normal({200, 300}, Dtype::kF32, 14);
  const Tensor expected = ops::linear(x, weight, {}, Dtype::kF32);
  const ThreadCount scope(2);
  std::vector<Tensor> results(4);
  parallel_for(4, [&](std::int64_t i) { results[i] = ops::linear(x, weight, {}, Dtype::kF32); });
  for (const Tensor& y : results) EXPECT_TRUE(same_bytes(y, expected));
}

TEST(Linear, LeavesTheNumberOfThreadsAlone) {
  const int before = omp_get_max_threads();
  ops::linear(zeros({2, 3}), zeros({4, 3}), {}, Dtype::kF32);
  EXPECT_EQ(omp_get_max_threads(), before);
}

TEST(Linear, OfNoRowsIsEmpty) {
  EXPECT_EQ(ops::linear(zeros({0, 3}), zeros({4, 3}), {}, Dtype::kBf16).shape(), (Shape{0, 4}));
}

TEST(Linear, RejectsWhatDoesNotFit) {
  const auto error = [](const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Dtype out = Dtype::kF32) {
    return error_of([&] { return ops::linear(x, weight, bias, out); });
  };
  EXPECT_EQ(error(zeros({2, 3}), zeros({4, 5}), {}), "linear: weight [4, 5] does not fit x [2, 3]");
  EXPECT_EQ(error(zeros({2, 3}), zeros({3}), {}), "linear: weight [3] does not fit x [2, 3]");
  EXPECT_EQ(error(zeros({}), zeros({4, 3}), {}), "linear: weight [4, 3] does not fit x []");
  EXPECT_EQ(error(zeros({2, 0}), zeros({4, 0}), {}), "linear: weight [4, 0] does not fit x [2, 0]");
  EXPECT_EQ(error(zeros({2, 3}), zeros({4, 3}), zeros({3})),
            "linear: bias [3] does not fit weight [4, 3]");
  EXPECT_EQ(error(zeros({2, 3}), zeros({4, 3}), zeros({4}, Dtype::kBf16)),
            "linear: bias is BF16, expected F32");
  EXPECT_EQ(error(zeros({2, 3}), zeros({4, 3}, Dtype::kBf16), {}),
            "linear: weight is BF16, x is F32");
  EXPECT_EQ(error(zeros({2, 3}, Dtype::kF16), zeros({4, 3}, Dtype::kF16), {}),
            "linear: x is F16, expected F32 or BF16");
  EXPECT_EQ(error(zeros({2, 3}), zeros({4, 3}), {}, Dtype::kI8),
            "linear: the result is I8, expected F32 or BF16");
}

}  // namespace
}  // namespace zimage
