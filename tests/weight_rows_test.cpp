#include "ops/weight_rows.h"

#include "isa_testing.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/low_rank.h"
#include "tensor_rows.h"
#include "testing.h"

namespace zimage {
namespace {

TEST(WeightRows, MultiplyAsTheirDecodedTensorDoes) {
  const Tensor bias = random_normal({130}, Dtype::kF32, 3);
  for (const std::int64_t in : {1, 33, 2051, 2600}) {
    const TensorRows rows(random_normal({130, in}, Dtype::kF32, 1));
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      const Tensor x = random_normal({2, 7, in}, dtype, 2);
      const Tensor dense = ops::decoded(rows, dtype);
      on_every_isa([&] {
        for (const Tensor& b : {Tensor(), bias}) {
          EXPECT_TRUE(same_bits(ops::linear(x, rows, b, Dtype::kBf16),
                                ops::linear(x, dense, b, Dtype::kBf16)))
              << in << " channels, " << dtype;
        }
      });
    }
  }
}

TEST(WeightRows, AreRoundedToTheDtypeOnDecoding) {
  const Tensor values = random_normal({5, 19}, Dtype::kF32, 4);
  const TensorRows rows(values);
  EXPECT_TRUE(same_bits(ops::decoded(rows, Dtype::kF32), values));
  EXPECT_TRUE(same_bits(ops::decoded(rows, Dtype::kBf16), ops::cast(values, Dtype::kBf16)));
  EXPECT_EQ(rows.bytes(), 5u * 19 * 4);
}

TEST(WeightRows, GiveTheSameBitsForAnyNumberOfThreads) {
  const TensorRows rows(random_normal({300, 700}, Dtype::kF32, 5));
  const Tensor x = random_normal({40, 700}, Dtype::kBf16, 6);
  EXPECT_TRUE(is_thread_invariant([&] { return ops::linear(x, rows, {}, Dtype::kF32); }));
}

TEST(WeightRows, RejectWhatDoesNotFit) {
  const TensorRows rows(zeros({4, 3}));
  EXPECT_EQ(error_of([&] {
              return ops::linear(zeros({2, 5}), rows, {}, Dtype::kF32);
            }),
            "linear: weight [4, 3] does not fit x [2, 5]");
  EXPECT_EQ(error_of([&] { return ops::decoded(rows, Dtype::kI8); }),
            "decoded: the result is I8, expected F32 or BF16");
}

TEST(WeightRows, OfNoRowsOfXAreEmpty) {
  const TensorRows rows(zeros({4, 3}));
  EXPECT_EQ(ops::linear(zeros({0, 3}), rows, {}, Dtype::kF32).shape(), (Shape{0, 4}));
}

TEST(LowRankRow, IsARowOfTheProductOnEveryInstructionSet) {
  constexpr std::int64_t kRank = 70, kIn = 99, kRow = 2;
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    const Tensor down = random_normal({kRank, kIn}, dtype, 1),
                 up = random_normal({4, kRank}, dtype, 2);
    const auto d = values_of(down), u = values_of(up);
    std::vector<float> expected(kIn);
    for (std::int64_t i = 0; i < kIn; ++i) {
      double sum = 0;
      for (std::int64_t r = 0; r < kRank; ++r) sum += double{u[kRow * kRank + r]} * d[r * kIn + i];
      expected[i] = static_cast<float>(sum);
    }
    on_every_isa([&] {
      std::vector<float> all(kIn, -1), part(40, -1);
      ops::low_rank_row(down, up, kRow, 0, kIn, all.data());
      EXPECT_LE(relative_error(tensor_of({kIn}, all), tensor_of({kIn}, expected)), 1e-6);
      ops::low_rank_row(down, up, kRow, 57, 40, part.data());
      EXPECT_EQ(part, std::vector<float>(&all[57], &all[57] + 40));
    });
  }
}

}  // namespace
}  // namespace zimage
