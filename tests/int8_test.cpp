#include "ops/int8.h"

#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "testing.h"

namespace zimage {
namespace {

constexpr cpu::Isa kIsas[] = {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512};

// Row i, column j of the regular Hadamard matrix of n: for every digit in base four of i and j a
// factor of -1/2 where they add up to three and 1/2 elsewhere.
double hadamard(std::int64_t n, std::int64_t i, std::int64_t j) {
  double value = 1;
  for (; n > 1; n /= 4, i /= 4, j /= 4) value *= i % 4 + j % 4 == 3 ? -0.5 : 0.5;
  return value;
}

std::vector<double> turned(const std::vector<float>& row, int rotation) {
  std::vector<double> result(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::size_t group = i / rotation * rotation;
    for (int j = 0; j < rotation; ++j) {
      result[i] += hadamard(rotation, static_cast<std::int64_t>(i - group), j) * row[group + j];
    }
  }
  return result;
}

std::vector<int> bytes_of(const Tensor& x) {
  const auto* const values = reinterpret_cast<const std::int8_t*>(x.raw());
  return {values, values + x.numel()};
}

TEST(Int8, QuantisesTurnedRows) {
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    for (const auto& [rotation, in] :
         {std::pair{1, 12}, {4, 20}, {16, 48}, {64, 192}, {256, 512}}) {
      for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
        SCOPED_TRACE(str(isa, ", rotation ", rotation, ", ", dtype));
        const Tensor weight = random_normal({3, in}, dtype, 11);
        const auto quantised = ops::quantize_int8(weight, rotation);
        const auto values = bytes_of(quantised.values);
        for (int row = 0; row < 3; ++row) {
          const auto expected = turned(values_of(weight.slice(row, row + 1)), rotation);
          double largest = 0;
          for (const double v : expected) largest = std::max(largest, std::abs(v));
          const float scale = quantised.scales.data<float>()[row];
          EXPECT_NEAR(scale, largest / 127, largest * 1e-6);
          for (int k = 0; k < in; ++k) {
            EXPECT_NEAR(values[row * in + k], expected[k] / scale, 0.5 + 1e-3) << row << ", " << k;
          }
        }
      }
    }
  }
}

TEST(Int8, DequantisesWhatItQuantised) {
  const Tensor weight = random_normal({5, 256}, Dtype::kF32, 12);
  for (const int rotation : {1, 16, 256}) {
    const auto quantised = ops::quantize_int8(weight, rotation);
    const auto before = values_of(weight),
               after = values_of(ops::dequantize(quantised, Dtype::kF32));
    double error = 0, power = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      error += (before[i] - after[i]) * (before[i] - after[i]);
      power += before[i] * before[i];
    }
    // Errors are uniform within half a step, a step is some 3 standard deviations / 127.
    EXPECT_LT(std::sqrt(error / power), 0.01) << rotation;
  }
}

TEST(Int8, TurningTakesOutliersAway) {
  Tensor weight = random_normal({4, 256}, Dtype::kF32, 13);
  for (int row = 0; row < 4; ++row) weight.data<float>()[row * 256 + 17] = 100;
  const auto error = [&](int rotation) {
    const Tensor after = ops::dequantize(ops::quantize_int8(weight, rotation), Dtype::kF32);
    double sum = 0;
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      const double d = weight.data<float>()[i] - after.data<float>()[i];
      sum += d * d;
    }
    return std::sqrt(sum / static_cast<double>(weight.numel()));
  };
  EXPECT_LT(error(256), error(1) / 5);
}

// Values that are integers up to 127 with a 127 in every row keep their values.
Tensor integers(std::int64_t rows, std::int64_t in, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * in; ++i) {
    values.push_back(i % in == 0 ? 127.0f : static_cast<float>(engine() % 255) - 127.0f);
  }
  return tensor_of({rows, in}, values);
}

TEST(Int8, MultipliesIntegersExactly) {
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    for (const auto& [rows, in, out] :
         {std::array{1, 4, 1}, {7, 100, 65}, {13, 2564, 130}, {2310, 8, 3}}) {
      SCOPED_TRACE(str(isa, ": ", rows, " x ", in, " x ", out));
      const Tensor x = integers(rows, in, 1), weight = integers(out, in, 2);
      const Tensor bias = random_normal({out}, Dtype::kF32, 14);
      const auto y = values_of(ops::linear(x, ops::quantize_int8(weight, 1), bias, Dtype::kF32));
      for (int r = 0; r < rows; ++r) {
        for (int o = 0; o < out; ++o) {
          double sum = 0;
          for (int k = 0; k < in; ++k) {
            sum += double{x.data<float>()[r * in + k]} * weight.data<float>()[o * in + k];
          }
          const double expected = sum + bias.data<float>()[o];
          ASSERT_NEAR(y[r * out + o], expected, 1e-6 * std::abs(expected) + 1e-6);
        }
      }
    }
  }
}

TEST(Int8, IsNearTheProductOfWhatItQuantises) {
  const Tensor x = random_normal({33, 512}, Dtype::kBf16, 15);
  const Tensor weight = random_normal({70, 512}, Dtype::kBf16, 16);
  const auto y = values_of(ops::linear(x, ops::quantize_int8(weight, 256), {}, Dtype::kBf16));
  const auto xs = values_of(x), ws = values_of(weight);
  double error = 0, power = 0;
  for (int r = 0; r < 33; ++r) {
    for (int o = 0; o < 70; ++o) {
      double sum = 0;
      for (int k = 0; k < 512; ++k) sum += double{xs[r * 512 + k]} * ws[o * 512 + k];
      error += (y[r * 70 + o] - sum) * (y[r * 70 + o] - sum);
      power += sum * sum;
    }
  }
  EXPECT_LT(std::sqrt(error / power), 0.015);  // 0.7 % from each operand, 0.2 % from bf16
}

TEST(Int8, GivesTheSameBitsForAnyNumberOfThreadsAndInstructionSet) {
  const Tensor x = random_normal({700, 256}, Dtype::kBf16, 17);
  const auto weight = ops::quantize_int8(random_normal({130, 256}, Dtype::kBf16, 18), 256);
  const int before = num_threads();
  const Tensor expected = ops::linear(x, weight, {}, Dtype::kF32);
  for (const cpu::Isa isa : kIsas) {
    const cpu::IsaScope scope(isa);
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      const Tensor y = ops::linear(x, weight, {}, Dtype::kF32);
      EXPECT_EQ(std::memcmp(y.raw(), expected.raw(), y.bytes()), 0) << isa << ", " << threads;
    }
  }
  set_num_threads(before);
}

TEST(Int8, KeepsWhatIsNotFinite) {
  Tensor x = random_normal({3, 16}, Dtype::kF32, 19);
  x.data<float>()[17] = INFINITY;
  x.data<float>()[40] = NAN;
  const auto weight = ops::quantize_int8(random_normal({2, 16}, Dtype::kF32, 20), 16);
  const auto y = values_of(ops::linear(x, weight, {}, Dtype::kF32));
  EXPECT_TRUE(std::isfinite(y[0]) && std::isfinite(y[1]));
  for (int i = 2; i < 6; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
}

TEST(Int8, TakesRowsOfZeros) {
  const auto weight = ops::quantize_int8(zeros({2, 16}), 16);
  for (const float y : values_of(ops::linear(zeros({3, 16}), weight, {}, Dtype::kF32))) {
    EXPECT_EQ(y, 0);
  }
}

TEST(Int8, ChoosesTheLongestRotation) {
  EXPECT_EQ(ops::int8_rotation(3840), 256);
  EXPECT_EQ(ops::int8_rotation(192), 64);
  EXPECT_EQ(ops::int8_rotation(24), 4);
  EXPECT_EQ(ops::int8_rotation(30), 1);
}

TEST(Int8, RejectsWhatDoesNotFit) {
  const auto weight = ops::quantize_int8(zeros({2, 16}), 4);
  EXPECT_EQ(error_of([&] {
              ops::linear(zeros({3, 8}), weight, {}, Dtype::kF32);
            }),
            "linear: weight [2, 16] does not fit x [3, 8]");
  EXPECT_EQ(error_of([&] {
              ops::quantize_int8(zeros({2, 6}), 1);
            }),
            "quantize_int8: rows of 6 channels, expected a multiple of 4 up to 65536");
  EXPECT_EQ(error_of([&] {
              ops::quantize_int8(zeros({2, 16}), 8);
            }),
            "quantize_int8: a rotation of 8, expected a power of 4 that divides the 16 channels");
}

}  // namespace
}  // namespace zimage
