#include "ops/elementwise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "isa_testing.h"

namespace zimage {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::int64_t kSizes[] = {0, 1, 15, 16, 17, 33, 128, 3840, 200'000};
constexpr Dtype kComputed[] = {Dtype::kF32, Dtype::kBf16};

double silu_f64(double x) { return x / (1 + std::exp(-x)); }

template <class F>
Tensor map_f64(const Tensor& x, const Tensor& y, F&& f) {
  const std::vector<float> a = values_of(x), b = values_of(y);
  std::vector<float> out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    out[i] = static_cast<float>(f(double{a[i]}, double{b[i]}));
  return tensor_of(x.shape(), out);
}

// Floats with every exponent and both signs.
Tensor sweep() {
  std::vector<float> values;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 0x7fff1u) {
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(-values.back());
  }
  const Shape shape{static_cast<std::int64_t>(values.size())};
  return tensor_of(shape, values);
}

// The bit patterns as a tensor of `dtype`.
template <class Bits>
Tensor from_bits(const std::vector<Bits>& bits, Dtype dtype) {
  Tensor t = empty({static_cast<std::int64_t>(bits.size())}, dtype);
  std::memcpy(t.raw(), bits.data(), t.bytes());
  return t;
}

template <class Bits>
std::vector<Bits> all_patterns() {
  std::vector<Bits> bits(std::size_t{1} << (8 * sizeof(Bits)));
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<Bits>(i);
  return bits;
}

bool same_value(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST(Cast, RoundsToBf16AsTheScalarConversion) {
  Tensor x = concat(sweep(), random_normal({999}, Dtype::kF32, 1));
  // Ties, carries into the exponent and beyond, infinities, NaNs with any payload.
  std::vector<std::uint32_t> special;
  for (const std::uint32_t high :
       {0x0000u, 0x0001u, 0x3f80u, 0x3f81u, 0x3fffu, 0x7f7fu, 0x7f80u, 0x7fc1u}) {
    for (const std::uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      special.push_back(high << 16 | low);
      special.push_back(0x80000000u | high << 16 | low);
    }
  }
  x = concat(x, from_bits(special, Dtype::kF32));
  on_every_isa([&] {
    const Tensor y = ops::cast(x, Dtype::kBf16);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      ASSERT_EQ(y.data<bf16>()[i].bits, bf16(x.data<float>()[i]).bits) << x.data<float>()[i];
    }
  });
}

TEST(Cast, WidensEveryBf16Exactly) {
  const Tensor x = from_bits(all_patterns<std::uint16_t>(), Dtype::kBf16);
  on_every_isa([&] {
    const Tensor y = ops::cast(x, Dtype::kF32);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(y.data<float>()[i]), static_cast<std::uint32_t>(i)
                                                                      << 16);
    }
  });
}

TEST(Cast, WidensEveryHalfExactly) {
  const Tensor x = from_bits(all_patterns<std::uint16_t>(), Dtype::kF16);
  on_every_isa([&] {
    const Tensor y = ops::cast(x, Dtype::kF32), z = ops::cast(x, Dtype::kBf16);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const float value = f16_to_float(static_cast<std::uint16_t>(i));
      ASSERT_TRUE(same_value(y.data<float>()[i], value)) << i;
      ASSERT_TRUE(
          same_value(static_cast<float>(z.data<bf16>()[i]), static_cast<float>(bf16(value))))
          << i;
    }
  });
}

TEST(Cast, RoundsDoubles) {
  const std::vector<double> values{0.1, -1e300, 1e-50, 1.0 + 0x1p-24, 3, -0.0, 7e-310, NAN, kInf};
  const Tensor x = from_bits(values, Dtype::kF64);
  on_every_isa([&] {
    const Tensor y = ops::cast(x, Dtype::kF32);
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_TRUE(same_value(y.data<float>()[i], static_cast<float>(values[i]))) << values[i];
    }
  });
}

TEST(Cast, ReadsFloat8E4M3) {
  const Tensor x = from_bits(all_patterns<std::uint8_t>(), Dtype::kF8E4M3);
  on_every_isa([&] {
    const std::vector<float> y = values_of(ops::cast(x, Dtype::kF32));
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, mantissa = code & 7;
      double value =
          exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
      if ((code & 127) == 127) value = NAN;
      EXPECT_TRUE(same_value(y[code], static_cast<float>(code < 128 ? value : -value))) << code;
    }
    EXPECT_EQ(y[0x7e], 448);  // the largest, as torch.finfo has it
    EXPECT_TRUE(
        same_bits(ops::cast(ops::cast(x, Dtype::kBf16), Dtype::kF32), ops::cast(x, Dtype::kF32)));
  });
}

TEST(Cast, ReadsFloat8E5M2) {
  const Tensor x = from_bits(all_patterns<std::uint8_t>(), Dtype::kF8E5M2);
  on_every_isa([&] {
    const std::vector<float> y = values_of(ops::cast(x, Dtype::kF32));
    for (int code = 0; code < 256; ++code) {
      EXPECT_TRUE(same_value(y[code], f16_to_float(static_cast<std::uint16_t>(code << 8)))) << code;
    }
  });
}

TEST(Cast, ToTheSameDtypeIsTheTensorItself) {
  const Tensor x = zeros({3}, Dtype::kI8);
  EXPECT_EQ(ops::cast(x, Dtype::kI8).raw(), x.raw());
}

TEST(Cast, RejectsIntegersAndStorageTargets) {
  EXPECT_EQ(error_of([] { return ops::cast(zeros({1}, Dtype::kI32), Dtype::kF32); }),
            "cast: x is I32, expected floating-point numbers");
  EXPECT_EQ(error_of([] { return ops::cast(zeros({1}), Dtype::kF16); }),
            "cast: the result is F16, expected F32 or BF16");
}

TEST(Silu, MatchesF64OverTheWholeRange) {
  const Tensor x = sweep();
  on_every_isa([&] {
    for (const Dtype dtype : kComputed) {
      SCOPED_TRACE(str(dtype));
      const Tensor in = ops::cast(x, dtype);
      // Below -88 the result is less than 1e-36 and may be flushed or subnormal.
      EXPECT_TRUE(all_close(ops::silu(in),
                            map_f64(in, in, [](double v, double) { return silu_f64(v); }),
                            tolerance(dtype, 3 * kF32Ulp), 1e-36));
    }
  });
}

TEST(Silu, HasNoSurprisesAtTheEdges) {
  const Tensor x = from_values({10}, {0, -0.0f, 88, -88, 89, -89, 1000, -1000, kInf, 1e-40f});
  on_every_isa([&] {
    const std::vector<float> y = values_of(ops::silu(x));
    EXPECT_EQ(y[0], 0);
    EXPECT_TRUE(std::signbit(y[1]));
    EXPECT_EQ(y[2], 88);
    EXPECT_NEAR(y[3], 0, 1e-35);
    EXPECT_EQ(y[4], 89);
    EXPECT_NEAR(y[5], 0, 1e-35);
    EXPECT_EQ(y[6], 1000);
    EXPECT_EQ(y[7], 0);
    EXPECT_EQ(y[8], kInf);
    EXPECT_EQ(y[9], 5e-41f);
    // As in torch: -inf / inf.
    for (const float v : values_of(ops::silu(from_values({2}, {NAN, -kInf}))))
      EXPECT_TRUE(std::isnan(v));
  });
}

TEST(SiluMul, MatchesF64ReferenceAtAnySize) {
  on_every_isa([] {
    for (const std::int64_t n : kSizes) {
      for (const Dtype dtype : kComputed) {
        SCOPED_TRACE(str("n = ", n, " ", dtype));
        const Tensor gate = random_normal({n}, dtype, 1, 5), up = random_normal({n}, dtype, 2);
        const Tensor y = ops::silu_mul(gate, up);
        EXPECT_EQ(y.dtype(), dtype);
        EXPECT_TRUE(all_close(y,
                              map_f64(gate, up, [](double g, double u) { return silu_f64(g) * u; }),
                              tolerance(dtype, 4 * kF32Ulp)));
      }
    }
  });
}

TEST(Tanh, MatchesF64OverTheWholeRange) {
  const Tensor x = concat(sweep(), random_normal({10'000}, Dtype::kF32, 3));
  on_every_isa([&] {
    for (const Dtype dtype : kComputed) {
      SCOPED_TRACE(str(dtype));
      const Tensor in = ops::cast(x, dtype);
      EXPECT_TRUE(all_close(ops::tanh(in),
                            map_f64(in, in, [](double v, double) { return std::tanh(v); }),
                            tolerance(dtype, 2 * kF32Ulp)));
    }
    const std::vector<float> y = values_of(ops::tanh(from_values({4}, {kInf, -kInf, -0.0f, NAN})));
    EXPECT_EQ(y[0], 1);
    EXPECT_EQ(y[1], -1);
    EXPECT_TRUE(std::signbit(y[2]));
    EXPECT_TRUE(std::isnan(y[3]));
  });
}

TEST(Add, MatchesF64ReferenceAtAnySize) {
  on_every_isa([] {
    for (const std::int64_t n : kSizes) {
      for (const Dtype dtype : kComputed) {
        SCOPED_TRACE(str("n = ", n, " ", dtype));
        const Tensor x = random_normal({n}, dtype, 1), y = random_normal({n}, dtype, 2);
        EXPECT_TRUE(all_close(ops::add(x, y),
                              map_f64(x, y, [](double a, double b) { return a + b; }),
                              tolerance(dtype, kF32Ulp)));
      }
    }
  });
}

TEST(AddGated, MatchesF64ReferenceAtAnyWidth) {
  on_every_isa([] {
    for (const std::int64_t dim : {1, 15, 16, 17, 33, 128, 3840}) {
      SCOPED_TRACE(str("dim = ", dim));
      const Tensor x = random_normal({40, dim}, Dtype::kF32, 1);
      const Tensor y = random_normal({40, dim}, Dtype::kF32, 2);
      const Tensor gate = random_normal({dim}, Dtype::kF32, 3);
      std::vector<float> expected = values_of(x);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double product = double{gate.data<float>()[i % dim]} * y.data<float>()[i];
        expected[i] = static_cast<float>(expected[i] + product);
      }
      // Without FMA the product, of size 10, is rounded before the sum may cancel.
      EXPECT_TRUE(all_close(ops::add_gated(x, y, gate), tensor_of(x.shape(), expected), kF32Ulp,
                            10 * kF32Ulp));
    }
  });
}

TEST(GatherRows, ReadsTheRowsAsF32) {
  on_every_isa([] {
    const Tensor ids = from_bits(std::vector<std::int32_t>{4, 0, 4, 2}, Dtype::kI32);
    for (const Dtype dtype : kComputed) {
      const Tensor table = random_normal({5, 17}, dtype, 1);
      const Tensor rows = ops::gather_rows(table, ids);
      EXPECT_EQ(rows.dtype(), Dtype::kF32);
      EXPECT_EQ(rows.shape(), (Shape{4, 17}));
      for (const int i : {0, 1, 2, 3}) {
        const int id = ids.data<std::int32_t>()[i];
        EXPECT_EQ(values_of(rows.slice(i, i + 1)), values_of(table.slice(id, id + 1)));
      }
    }
  });
}

TEST(GatherRows, RejectsIdsOutsideTheTable) {
  const auto gather = [](std::vector<std::int32_t> ids) {
    return error_of([&] { return ops::gather_rows(zeros({5, 2}), from_bits(ids, Dtype::kI32)); });
  };
  EXPECT_EQ(gather({0, 5}), "gather_rows: id 5 at 1 is not a row of table [5, 2]");
  EXPECT_EQ(gather({-1}), "gather_rows: id -1 at 0 is not a row of table [5, 2]");
  EXPECT_EQ(error_of([] { return ops::gather_rows(zeros({5}), zeros({1}, Dtype::kI32)); }),
            "gather_rows: table is [5], expected [rows, dim]");
  EXPECT_EQ(error_of([] {
              return ops::gather_rows(zeros({5, 2}), zeros({1}));
            }),
            "gather_rows: ids are [1] F32, expected one axis of I32");
}

TEST(AllFinite, FindsInfinityAndNaNAnywhere) {
  on_every_isa([] {
    for (const Dtype dtype : kComputed) {
      for (const std::int64_t n : {1, 15, 16, 17, 70'000}) {
        SCOPED_TRACE(str("n = ", n, " ", dtype));
        const std::vector<float> values = values_of(random_normal({n}, Dtype::kF32, 1));
        EXPECT_TRUE(ops::all_finite(tensor_of({n}, values, dtype)));
        for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
          for (const float bad : {NAN, -NAN, kInf, -kInf}) {
            std::vector<float> broken = values;
            broken[at] = bad;
            EXPECT_FALSE(ops::all_finite(tensor_of({n}, broken, dtype))) << bad << " at " << at;
          }
        }
      }
    }
    EXPECT_TRUE(ops::all_finite(from_values({3}, {3.4e38f, -3.4e38f, 1e-45f})));
    EXPECT_TRUE(ops::all_finite(zeros({0})));
  });
}

TEST(Elementwise, DoesNotDependOnThreads) {
  on_every_isa([] {
    const Tensor x = random_normal({300, 1000}, Dtype::kF32, 1),
                 y = random_normal({300, 1000}, Dtype::kF32, 2);
    const Tensor gate = random_normal({1000}, Dtype::kF32, 3);
    EXPECT_TRUE(is_thread_invariant([&] { return ops::silu_mul(x, y); }));
    EXPECT_TRUE(is_thread_invariant([&] { return ops::add_gated(x, y, gate); }));
    EXPECT_TRUE(is_thread_invariant([&] { return ops::cast(x, Dtype::kBf16); }));
  });
}

TEST(Elementwise, TakesNoElements) {
  EXPECT_EQ(ops::add_gated(zeros({3, 0}), zeros({3, 0}), zeros({0})).shape(), (Shape{3, 0}));
  EXPECT_EQ(ops::gather_rows(zeros({3, 0}), zeros({2}, Dtype::kI32)).shape(), (Shape{2, 0}));
}

TEST(Elementwise, RejectsTensorsThatDoNotFit) {
  const Tensor x = zeros({2, 3});
  EXPECT_EQ(error_of([&] {
              return ops::silu_mul(x, zeros({3, 2}));
            }),
            "silu_mul: up [3, 2] F32 does not fit gate [2, 3] F32");
  EXPECT_EQ(error_of([&] {
              return ops::silu_mul(x, zeros({2, 3}, Dtype::kBf16));
            }),
            "silu_mul: up [2, 3] BF16 does not fit gate [2, 3] F32");
  EXPECT_EQ(error_of([&] { return ops::add(x, zeros({2})); }),
            "add: y [2] F32 does not fit x [2, 3] F32");
  EXPECT_EQ(error_of([&] { return ops::add_gated(x, x, zeros({2})); }),
            "add_gated: gate [2] does not fit x [2, 3]");
  EXPECT_EQ(error_of([&] { return ops::add_gated(x, x, zeros({3}, Dtype::kBf16)); }),
            "add_gated: gate is BF16, expected F32");
  const Tensor half = zeros({2, 3}, Dtype::kF16);
  EXPECT_EQ(error_of([&] { return ops::add_gated(half, half, half); }),
            "add_gated: x is F16, expected F32");
  EXPECT_EQ(error_of([&] { return ops::silu(half); }), "silu: x is F16, expected F32 or BF16");
  EXPECT_EQ(error_of([&] { return ops::tanh(half); }), "tanh: x is F16, expected F32 or BF16");
  EXPECT_EQ(error_of([&] { return ops::all_finite(half); }),
            "all_finite: x is F16, expected F32 or BF16");
}

}  // namespace
}  // namespace zimage
