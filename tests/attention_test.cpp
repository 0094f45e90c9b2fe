#include "ops/attention.h"

#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "cpu/attention.h"
#include "cpu/isa.h"
#include "testing.h"

namespace zimage {
namespace {

Tensor attention_f64(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                     bool is_causal) {
  const std::int64_t queries = q.dim(0), heads = q.dim(1), dim = q.dim(2);
  const std::int64_t keys = k.dim(0), kv_heads = k.dim(1);
  const auto qs = values_of(q), ks = values_of(k), vs = values_of(v);
  std::vector<float> ys(qs.size());
  std::vector<double> weights(keys);
  for (std::int64_t i = 0; i < queries; ++i) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const std::int64_t kv_head = head / (heads / kv_heads), n = is_causal ? i + 1 : keys;
      for (std::int64_t j = 0; j < n; ++j) {
        double score = 0;
        for (std::int64_t c = 0; c < dim; ++c) {
          score +=
              double{qs[(i * heads + head) * dim + c]} * ks[(j * kv_heads + kv_head) * dim + c];
        }
        weights[j] = score * scale;
      }
      const double largest = *std::max_element(weights.begin(), weights.begin() + n);
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) sum += weights[j] = std::exp(weights[j] - largest);
      for (std::int64_t c = 0; c < dim; ++c) {
        double y = 0;
        for (std::int64_t j = 0; j < n; ++j) {
          y += weights[j] * vs[(j * kv_heads + kv_head) * dim + c];
        }
        ys[(i * heads + head) * dim + c] = static_cast<float>(y / sum);
      }
    }
  }
  return tensor_of(q.shape(), ys);
}

struct Sizes {
  std::int64_t queries, keys, heads, kv_heads, dim;
  bool is_causal = false;
};

// One token; just past vectors, blocks of 192 queries and of 512 keys; shared heads.
constexpr Sizes kAwkward[] = {
    {1, 1, 1, 1, 8},           {1, 1, 1, 1, 1},           {1, 33, 2, 2, 8},
    {31, 65, 3, 3, 33},        {33, 31, 4, 1, 64},        {65, 1, 8, 2, 128},
    {193, 513, 1, 1, 8},       {200, 600, 2, 1, 16},      {40, 1100, 2, 2, 33},
    {20, 70, 1, 1, 512},       {1, 1, 2, 1, 8, true},     {31, 31, 2, 2, 33, true},
    {65, 65, 8, 2, 128, true}, {530, 530, 2, 1, 8, true},
};

std::string describe(const Sizes& s) {
  return str(s.queries, " queries, ", s.keys, " keys, ", s.heads, " heads, ", s.kv_heads,
             " kv heads, ", s.dim, " channels", s.is_causal ? ", causal" : "");
}

struct Inputs {
  Tensor q, k, v;
};

Inputs inputs_of(const Sizes& s, Dtype dtype, float stddev = 1) {
  return {random_normal({s.queries, s.heads, s.dim}, dtype, 1, stddev),
          random_normal({s.keys, s.kv_heads, s.dim}, dtype, 2, stddev),
          random_normal({s.keys, s.kv_heads, s.dim}, dtype, 3)};
}

float scale_of(const Sizes& s) { return 1 / std::sqrt(static_cast<float>(s.dim)); }

// |y| <= max |v| < 5 for these inputs. f32: scores of size 5 carry errors near 1e-6, and so do the
// weights relative to themselves. bf16: the weights are rounded by 2^-9 at most and y by 2^-9.
double tolerance(Dtype dtype) { return dtype == Dtype::kF32 ? 1e-5 : 5 * 2 * 0x1p-9; }

TEST(Attention, MatchesF64ReferenceAtAnySize) {
  for (const Sizes& s : kAwkward) {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      SCOPED_TRACE(str(describe(s), ", ", dtype));
      const auto [q, k, v] = inputs_of(s, dtype);
      const Tensor y = ops::attention(q, k, v, scale_of(s), s.is_causal);
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_TRUE(
          all_close(y, attention_f64(q, k, v, scale_of(s), s.is_causal), 0, tolerance(dtype)));
    }
  }
}

TEST(Attention, MatchesF64ReferenceOnBothBf16Paths) {
  for (const Sizes& s : kAwkward) {
    SCOPED_TRACE(describe(s));
    const auto [q, k, v] = inputs_of(s, Dtype::kBf16);
    const Tensor expected = attention_f64(q, k, v, scale_of(s), s.is_causal);
    for (const auto path : {cpu::Bf16Path::kDot, cpu::Bf16Path::kExpand}) {
      if (path == cpu::Bf16Path::kDot && !cpu::has_bf16_instructions()) continue;
      Tensor y = empty(q.shape(), Dtype::kBf16);
      cpu::attention(q, k, v, scale_of(s), s.is_causal, y, path);
      EXPECT_TRUE(all_close(y, expected, 0, tolerance(Dtype::kBf16)));
    }
  }
}

TEST(Attention, MatchesF64ReferenceWithKernelsOfEveryInstructionSet) {
  for (const cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    const cpu::IsaScope scope(isa);
    for (const Sizes& s : {Sizes{31, 65, 3, 3, 33}, Sizes{65, 65, 8, 2, 128, true}}) {
      for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
        SCOPED_TRACE(str(describe(s), ", ", dtype, ", ", isa));
        const auto [q, k, v] = inputs_of(s, dtype);
        EXPECT_TRUE(all_close(ops::attention(q, k, v, scale_of(s), s.is_causal),
                              attention_f64(q, k, v, scale_of(s), s.is_causal), 0,
                              tolerance(dtype)));
      }
    }
  }
}

// Scores reach thousands: e^score overflows, and nearly all the weight is on one key. Their f32
// errors, 2^-24 of sum |q k| < 2e6 * scale, move the weights by as much.
TEST(Attention, TakesLargeScores) {
  const Sizes s{40, 700, 2, 2, 64};
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    const auto [q, k, v] = inputs_of(s, dtype, 100);
    const Tensor y = ops::attention(q, k, v, scale_of(s));
    EXPECT_TRUE(all_close(y, attention_f64(q, k, v, scale_of(s), false), 0, 0.05));
  }
}

// The largest score comes last, so that every block of keys rescales what was summed before it.
TEST(Attention, TakesScoresThatGrowFromBlockToBlock) {
  const std::int64_t keys = 1600;
  std::vector<float> ks, vs;
  for (std::int64_t i = 0; i < keys; ++i) {
    ks.push_back(0.02f * static_cast<float>(i));
    vs.push_back(static_cast<float>(i % 7));
  }
  const Tensor q = tensor_of({1, 1, 1}, {1}), k = tensor_of({keys, 1, 1}, ks);
  const Tensor v = tensor_of({keys, 1, 1}, vs);
  for (const float scale : {1.0f, -1.0f}) {
    EXPECT_TRUE(
        all_close(ops::attention(q, k, v, scale), attention_f64(q, k, v, scale, false), 0, 1e-4));
  }
}

TEST(Attention, SpreadsNanOverItsOwnRowAlone) {
  Tensor q = random_normal({3, 1, 8}, Dtype::kF32, 4);
  q.data<float>()[8] = std::nanf("");
  const Tensor k = random_normal({20, 1, 8}, Dtype::kF32, 5);
  const auto y = values_of(ops::attention(q, k, k, 1));
  for (int i = 0; i < 24; ++i) EXPECT_EQ(std::isnan(y[i]), i / 8 == 1) << i;
}

TEST(Attention, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Sizes& s : {Sizes{300, 700, 3, 3, 64}, Sizes{400, 400, 4, 1, 32, true}}) {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      for (const cpu::Isa isa : {cpu::Isa::kAvx512, cpu::Isa::kBf16}) {
        const cpu::IsaScope isa_scope(isa);
        const auto inputs = inputs_of(s, dtype);
        const auto run = [&](int threads) {
          const ThreadCount scope(threads);
          return ops::attention(inputs.q, inputs.k, inputs.v, scale_of(s), s.is_causal);
        };
        const Tensor expected = run(1);
        for (const int threads : {2, 3}) {
          const Tensor y = run(threads);
          EXPECT_EQ(std::memcmp(y.raw(), expected.raw(), y.bytes()), 0) << threads << " threads";
        }
      }
    }
  }
}

// 8192^2 scores would be 256 MB; K and V packed for one head, and a block of scores, are 4 MB.
TEST(Attention, NeverHoldsAllScores) {
  const auto [q, k, v] = inputs_of({8192, 8192, 1, 1, 8}, Dtype::kF32);
  const ThreadCount scope(2);
  allocator::trim();
  allocator::reset_peak();
  const std::size_t before = allocator::peak_bytes();
  const Tensor y = ops::attention(q, k, v, 1);
  EXPECT_LT(allocator::peak_bytes() - before, std::size_t{16} << 20);
}

Tensor concat_all(const std::vector<Tensor>& parts) { return concat(parts); }

TEST(Attention, KeepsSequencesThatLieBelowEachOtherApart) {
  const Sizes all[] = {{65, 65, 4, 2, 33}, {1, 513, 4, 2, 33}, {193, 193, 4, 2, 33}};
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
    std::vector<Tensor> q, k, v, expected;
    std::vector<ops::AttentionRows> rows;
    for (const Sizes& s : all) {
      const Inputs in = inputs_of(s, dtype);
      q.push_back(in.q), k.push_back(in.k), v.push_back(in.v);
      expected.push_back(ops::attention(in.q, in.k, in.v, scale_of(s)));
      rows.push_back({s.queries, s.keys});
    }
    const Tensor y =
        ops::attention(concat_all(q), concat_all(k), concat_all(v), scale_of(all[0]), false, rows);
    EXPECT_EQ(values_of(y), values_of(concat_all(expected))) << str(dtype);
  }
}

TEST(Attention, RejectsSequencesThatDoNotFit) {
  const Tensor q = zeros({5, 4, 8}), k = zeros({6, 4, 8});
  const auto error = [&](std::vector<ops::AttentionRows> rows, bool is_causal = false) {
    return error_of([&] { return ops::attention(q, k, k, 1, is_causal, rows); });
  };
  EXPECT_EQ(error({{2, 3}, {3, 3}}), "");
  EXPECT_EQ(error({{2, 3}, {3, 2}}),
            "attention: sequences of 5 queries and 5 keys do not fit q [5, 4, 8] and k [6, 4, 8]");
  EXPECT_EQ(error({{5, 6}, {0, 0}}), "attention: a sequence of 0 queries and 0 keys");
  EXPECT_EQ(error({{2, 3}, {3, 3}}, true),
            "attention: causal with 2 queries and 3 keys, expected as many");
}

TEST(Attention, OfNoQueriesIsEmpty) {
  EXPECT_EQ(ops::attention(zeros({0, 2, 4}), zeros({3, 2, 4}), zeros({3, 2, 4}), 1).shape(),
            (Shape{0, 2, 4}));
}

TEST(Attention, RejectsWhatDoesNotFit) {
  const auto error = [](const Tensor& q, const Tensor& k, const Tensor& v, bool is_causal = false) {
    return error_of([&] { return ops::attention(q, k, v, 1, is_causal); });
  };
  const Tensor q = zeros({5, 4, 8}), k = zeros({6, 2, 8});
  EXPECT_EQ(error(zeros({5, 8}), k, k), "attention: q is [5, 8], expected [queries, heads, d]");
  EXPECT_EQ(error(q, zeros({6, 2, 7}), k), "attention: k [6, 2, 7] does not fit q [5, 4, 8]");
  EXPECT_EQ(error(q, zeros({0, 2, 8}), k), "attention: k [0, 2, 8] does not fit q [5, 4, 8]");
  EXPECT_EQ(error(q, k, zeros({5, 2, 8})), "attention: v [5, 2, 8] does not fit k [6, 2, 8]");
  EXPECT_EQ(error(q, zeros({6, 3, 8}), zeros({6, 3, 8})),
            "attention: the 4 heads of q are no multiple of the 3 heads of k");
  EXPECT_EQ(error(q, zeros({6, 2, 8}, Dtype::kBf16), k),
            "attention: q is F32, k BF16, v F32, expected one dtype");
  EXPECT_EQ(error(zeros({5, 4, 8}, Dtype::kI32), k, k),
            "attention: q is I32, expected F32 or BF16");
  EXPECT_EQ(error(q, k, k, true), "attention: causal with 5 queries and 6 keys, expected as many");
}

}  // namespace
}  // namespace zimage
