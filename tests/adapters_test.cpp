#include "layers/adapters.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>

#include "layers/layer_list.h"
#include "layers/linear.h"
#include "testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr int kIn = 24, kOut = 36, kRows = 7;
using Matrix = std::vector<double>;  // [kOut, kIn]

Tensor normal(const Shape& shape, std::uint64_t seed, Dtype dtype = Dtype::kF32) {
  return random_normal(shape, dtype, seed, 0.3f);
}

// a * b with a: [n, k], b: [k, m].
Matrix times(const Tensor& a, const Tensor& b) {
  const auto x = values_of(a), y = values_of(b);
  const auto n = a.dim(0), k = a.dim(1), m = b.dim(1);
  Matrix result(static_cast<std::size_t>(n * m));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t l = 0; l < k; ++l) {
        result[i * m + j] += double{x[i * k + l]} * y[l * m + j];
      }
    }
  }
  return result;
}

struct Kind {
  std::string name;
  WeightDeltaPtr delta;
  Matrix matrix;
};

Matrix kronecker(const Tensor& left, const Matrix& right, std::int64_t c, std::int64_t d) {
  const auto l = values_of(left);
  Matrix result(kOut * kIn);
  for (std::int64_t i = 0; i < kOut; ++i) {
    for (std::int64_t j = 0; j < kIn; ++j) {
      result[i * kIn + j] = l[i / c * left.dim(1) + j / d] * right[i % c * d + j % d];
    }
  }
  return result;
}

Matrix doubles(const Tensor& x) {
  const auto values = values_of(x);
  return {values.begin(), values.end()};
}

std::vector<Kind> kinds(Dtype dtype = Dtype::kF32) {
  const Tensor down = normal({3, kIn}, 1, dtype), up = normal({kOut, 3}, 2, dtype);
  const Tensor down2 = normal({5, kIn}, 3, dtype), up2 = normal({kOut, 5}, 4, dtype);
  const Tensor left = normal({4, 3}, 5, dtype), right = normal({9, 8}, 6, dtype);
  const Tensor right_down = normal({2, 8}, 7, dtype), right_up = normal({9, 2}, 8, dtype);
  const Tensor dense = normal({kOut, kIn}, 9, dtype);
  Matrix product = times(up, down);
  const Matrix other = times(up2, down2);
  for (std::size_t i = 0; i < product.size(); ++i) product[i] *= other[i];
  return {{"low rank", low_rank_delta(down, up), times(up, down)},
          {"kronecker", kronecker_delta(left, dense_delta(right)),
           kronecker(left, doubles(right), 9, 8)},
          {"factorised kronecker", kronecker_delta(left, low_rank_delta(right_down, right_up)),
           kronecker(left, times(right_up, right_down), 9, 8)},
          {"hadamard", hadamard_delta(down, up, down2, up2), product},
          {"dense", dense_delta(dense), doubles(dense)}};
}

// x * w^T + bias.
Tensor product_f64(const Tensor& x, const Matrix& w, const Tensor& bias = {}) {
  const auto values = values_of(x);
  const auto rows = x.dim(0), out = static_cast<std::int64_t>(w.size()) / x.dim(1);
  std::vector<float> y;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias.defined() ? double{values_of(bias)[o]} : 0;
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        sum += double{values[i * x.dim(1) + c]} * w[o * x.dim(1) + c];
      }
      y.push_back(static_cast<float>(sum));
    }
  }
  return tensor_of({rows, out}, y);
}

TEST(WeightDelta, MultipliesAndDecodesAsItsMatrix) {
  const Tensor x = normal({kRows, kIn}, 20);
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    EXPECT_EQ(kind.delta->shape(), (Shape{kOut, kIn}));
    EXPECT_LE(relative_error(kind.delta->product(x), product_f64(x, kind.matrix)), 1e-6);
    std::vector<float> all(kind.matrix.begin(), kind.matrix.end());
    EXPECT_LE(relative_error(kind.delta->block(0, kOut), tensor_of({kOut, kIn}, all)), 1e-6);
    std::vector<float> part(11);
    kind.delta->decode(13, 5, 11, part.data());
    EXPECT_LE(relative_error(tensor_of({11}, part),
                             tensor_of({11}, {&all[13 * kIn + 5], &all[13 * kIn + 16]})),
              1e-6);
  }
}

TEST(WeightDelta, GivesSomeOfItsRows) {
  const Tensor x = normal({kRows, kIn}, 20);
  for (const Kind& kind : kinds()) {
    for (const auto& [begin, end] : {std::pair{9, 27}, std::pair{1, 5}}) {
      SCOPED_TRACE(str(kind.name, " ", begin));
      const WeightDeltaPtr rows = kind.delta->rows(begin, end);
      EXPECT_EQ(rows->shape(), (Shape{end - begin, kIn}));
      const Matrix part(&kind.matrix[begin * kIn], &kind.matrix[0] + end * kIn);
      EXPECT_LE(relative_error(rows->product(x), product_f64(x, part)), 1e-6);
    }
  }
}

// The weight that an adapter makes, as its definition says.
Matrix adapted_f64(const Matrix& weight, const Matrix& delta, const ModuleAdapter& a) {
  Matrix changed = weight;
  for (std::size_t i = 0; i < changed.size(); ++i) changed[i] += a.factor * delta[i];
  if (a.magnitude.defined()) {
    const auto m = values_of(a.magnitude);
    const bool by_columns = a.magnitude.rank() == 2;
    std::vector<double> squares(m.size());
    const auto at = [&](std::size_t i) { return by_columns ? i % kIn : i / kIn; };
    for (std::size_t i = 0; i < changed.size(); ++i) squares[at(i)] += changed[i] * changed[i];
    for (std::size_t i = 0; i < changed.size(); ++i) {
      changed[i] *= m[at(i)] / std::sqrt(squares[at(i)]);
    }
  }
  for (std::size_t i = 0; i < changed.size(); ++i) {
    changed[i] = weight[i] + a.scale * (changed[i] - weight[i]);
  }
  return changed;
}

// Weights of a format, and what they stand for.
class Halves : public ops::WeightRows {
 public:
  explicit Halves(Tensor weight) : weight_(std::move(weight)) {}
  const Shape& shape() const override { return weight_.shape(); }
  std::vector<Tensor> tensors() const override { return {weight_}; }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    for (std::int64_t i = 0; i < n; ++i) {
      values[i] = weight_.data<float>()[row * weight_.dim(1) + channel + i] / 2;
    }
  }

 private:
  Tensor weight_;
};

struct Base {
  std::string name;
  WeightMatrix weight;
  Matrix matrix;
  bool is_int8 = false;
};

std::vector<Base> bases() {
  const Tensor dense = normal({kOut, kIn}, 30);
  const ops::Int8Matrix int8 = ops::quantize_int8(normal({kOut, kIn}, 31), 4);
  Matrix half = doubles(dense);
  for (double& value : half) value /= 2;
  return {
      {"f32", WeightMatrix(dense), doubles(dense)},
      {"rows",
       WeightMatrix(std::shared_ptr<const ops::WeightRows>(std::make_shared<const Halves>(dense))),
       half},
      {"int8", WeightMatrix(int8), doubles(ops::dequantize(int8, Dtype::kF32)), true}};
}

std::vector<ModuleAdapter> settings_for(const WeightDeltaPtr& delta) {
  return {{.delta = delta, .factor = 0.5f, .scale = 0.8f},
          {.delta = delta, .factor = 2, .scale = -1, .bias = normal({kOut}, 40)},
          {.delta = delta, .factor = 0.7f, .scale = 1, .magnitude = normal({kOut}, 41)},
          {.delta = delta, .factor = 0.7f, .scale = 0.6f, .magnitude = normal({1, kIn}, 42)}};
}

// Relative, of a product whose x is quantised to eight bits, once for the weight's own.
constexpr double kInt8Tolerance = 0.02;

TEST(AdaptedWeight, IsTheProductWithTheChangedWeightInAnyFormat) {
  const Tensor x = normal({kRows, kIn}, 20), bias = normal({kOut}, 21);
  for (const Base& base : bases()) {
    for (const Kind& kind : kinds()) {
      for (const ModuleAdapter& a : settings_for(kind.delta)) {
        SCOPED_TRACE(str(base.name, ", ", kind.name, ", scale ", a.scale));
        const WeightMatrix weight = adapted(base.weight, {a}, {kOut, kIn}, Dtype::kF32, "w");
        Tensor all = bias.clone();
        for (int i = 0; i < kOut && a.bias.defined(); ++i) {
          all.data<float>()[i] += a.scale * a.bias.data<float>()[i];
        }
        const Tensor expected = product_f64(x, adapted_f64(base.matrix, kind.matrix, a), all);
        EXPECT_LE(relative_error(weight.product(x, bias, Dtype::kF32), expected),
                  base.is_int8 ? kInt8Tolerance : 2e-6);
      }
    }
  }
}

// Of factors whose shapes would make more numbers between them than the decoded matrix has.
TEST(WeightDelta, DecodesWhatIsNoSmallProduct) {
  const Tensor x = normal({kRows, kIn}, 20);
  const Tensor left = normal({1, kIn}, 1), right = normal({kOut, 1}, 2);
  const Tensor down = normal({50, kIn}, 3), up = normal({kOut, 50}, 4);
  const Tensor wide = normal({50, 1}, 5), high = normal({kOut, 50}, 6);
  const std::vector<Kind> large{
      {"kronecker", kronecker_delta(left, dense_delta(right)),
       kronecker(left, doubles(right), kOut, 1)},
      {"factorised kronecker", kronecker_delta(left, low_rank_delta(wide, high)),
       kronecker(left, times(high, wide), kOut, 1)},
      {"low rank", low_rank_delta(down, up), times(up, down)}};
  for (const Kind& kind : large) {
    SCOPED_TRACE(kind.name);
    EXPECT_FALSE(kind.delta->is_small());
    EXPECT_LE(relative_error(kind.delta->product(x), product_f64(x, kind.matrix)), 2e-6);
    for (const Base& base : bases()) {
      const ModuleAdapter a{.delta = kind.delta, .factor = 0.5f, .scale = 0.8f};
      const WeightMatrix weight = adapted(base.weight, {a}, {kOut, kIn}, Dtype::kF32, "w");
      EXPECT_LE(relative_error(weight.product(x, {}, Dtype::kF32),
                               product_f64(x, adapted_f64(base.matrix, kind.matrix, a))),
                base.is_int8 ? kInt8Tolerance : 2e-6)
          << base.name;
    }
  }
  EXPECT_TRUE(kronecker_delta(normal({4, 3}, 5), dense_delta(normal({9, 8}, 6)))->is_small());
}

TEST(AdaptedWeight, MergedIsTheChangedWeight) {
  for (const Base& base : bases()) {
    for (const Kind& kind : kinds()) {
      for (const ModuleAdapter& a : settings_for(kind.delta)) {
        SCOPED_TRACE(str(base.name, ", ", kind.name, ", scale ", a.scale));
        const Matrix expected = adapted_f64(base.matrix, kind.matrix, a);
        EXPECT_LE(relative_error(merged(base.weight, {a}, {kOut, kIn}, Dtype::kF32, "w"),
                                 tensor_of({kOut, kIn}, {expected.begin(), expected.end()})),
                  1e-6);
      }
    }
  }
}

TEST(AdaptedWeight, AddsUpAllAdapters) {
  const Tensor x = normal({kRows, kIn}, 20);
  const Base base = bases().front();
  std::vector<ModuleAdapter> adapters;
  Matrix sum = base.matrix;
  for (const Kind& kind : kinds()) {
    for (const ModuleAdapter& a : settings_for(kind.delta)) {
      if (a.bias.defined()) continue;
      adapters.push_back(a);
      const Matrix one = adapted_f64(base.matrix, kind.matrix, a);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one[i] - base.matrix[i];
    }
  }
  const WeightMatrix weight = adapted(base.weight, adapters, {kOut, kIn}, Dtype::kF32, "w");
  EXPECT_LE(relative_error(weight.product(x, {}, Dtype::kF32), product_f64(x, sum)), 1e-5);
}

// x and the weight are exact in bf16; the factors and what lies between them are rounded to it, and
// so is the sum: a few roundings of 2^-9 each.
TEST(AdaptedWeight, IsWithinRoundingInBf16) {
  const Tensor x = normal({kRows, kIn}, 20, Dtype::kBf16);
  const Tensor dense = normal({kOut, kIn}, 30, Dtype::kBf16);
  for (const Kind& kind : kinds(Dtype::kBf16)) {
    const ModuleAdapter a{.delta = kind.delta, .factor = 1, .scale = 0.8f};
    SCOPED_TRACE(kind.name);
    const WeightMatrix weight = adapted(WeightMatrix(dense), {a}, {kOut, kIn}, Dtype::kBf16, "w");
    const Tensor expected = product_f64(x, adapted_f64(doubles(dense), kind.matrix, a));
    EXPECT_LE(relative_error(weight.product(x, {}, Dtype::kBf16), expected), 4.0 / 512);
    EXPECT_EQ(weight.product(x, {}, Dtype::kBf16).dtype(), Dtype::kBf16);
  }
}

TEST(AdaptedWeight, IsBitIdenticalForAnyNumberOfThreads) {
  const Tensor x = normal({300, kIn}, 20, Dtype::kBf16);
  const Tensor dense = normal({kOut, kIn}, 30, Dtype::kBf16);
  for (const Kind& kind : kinds()) {
    for (const ModuleAdapter& a : settings_for(kind.delta)) {
      std::vector<std::vector<float>> results;
      for (const int threads : {1, 2, 3}) {
        const ThreadCount scope(threads);
        const auto w = adapted(WeightMatrix(dense), {a}, {kOut, kIn}, Dtype::kBf16, "w");
        results.push_back(values_of(w.product(x, {}, Dtype::kF32)));
      }
      EXPECT_EQ(results[1], results[0]) << kind.name;
      EXPECT_EQ(results[2], results[0]) << kind.name;
    }
  }
}

TEST(AdaptedWeight, ComputesManyRowsAsItDoesFew) {
  const Tensor x = normal({2500, kIn}, 20, Dtype::kBf16);
  for (const Base& base : bases()) {
    for (const Kind& kind : kinds()) {
      const ModuleAdapter a = settings_for(kind.delta)[0];
      const Dtype compute = base.weight.dense() != nullptr ? Dtype::kF32 : Dtype::kBf16;
      const Tensor rows = compute == Dtype::kF32 ? tensor_of(x.shape(), values_of(x)) : x;
      const auto weight = adapted(base.weight, {a}, {kOut, kIn}, compute, "w");
      const Tensor all = weight.product(rows, {}, Dtype::kBf16);
      EXPECT_EQ(values_of(all.slice(2299, 2320)),
                values_of(weight.product(rows.slice(2299, 2320), {}, Dtype::kBf16)))
          << base.name << ", " << kind.name;
    }
  }
}

TEST(AdaptedWeight, RefusesAMagnitudeOfRowsThatAreZero) {
  const WeightDeltaPtr zero = dense_delta(zeros({2, 3}));
  const ModuleAdapter a{.delta = zero, .magnitude = from_values({2}, {1, 1})};
  EXPECT_THAT(error_of([&] {
                return adapted(WeightMatrix(zeros({2, 3})), {a}, {2, 3}, Dtype::kF32, "w");
              }),
              HasSubstr("w: row 0 of the weight has the norm 0"));
}

// Three square layers, the adapters of two of them.
class AdaptedLayers : public testing::Test {
 protected:
  WeightMap map_of(Dtype dtype, std::shared_ptr<const AdapterSet> adapters) const {
    WeightMap map("model");
    for (int i = 0; i < 3; ++i) {
      map.add(str("layers.", i, ".weight"), normal({kIn, kIn}, 50 + i, dtype));
      map.add(str("layers.", i, ".bias"), normal({kIn}, 60 + i));
    }
    map.set_adapters(std::move(adapters));
    return map;
  }
  static std::shared_ptr<AdapterSet> adapters(bool is_merged = false) {
    auto set = std::make_shared<AdapterSet>(is_merged);
    set->add("layers.0",
             {.delta = low_rank_delta(normal({2, kIn}, 1), normal({kIn, 2}, 2)), .scale = 0.5f});
    set->add("layers.2", {.delta = hadamard_delta(normal({2, kIn}, 3), normal({kIn, 2}, 4),
                                                  normal({2, kIn}, 5), normal({kIn, 2}, 6)),
                          .bias = normal({kIn}, 7)});
    return set;
  }
  Tensor run(const WeightMap& map, Dtype compute) const {
    const LayerList<Linear> layers(
        WeightScope(map, compute) / "layers", 3,
        [](const WeightScope& w) { return Linear(w, kIn, kIn, Linear::Bias::kPresent); });
    Tensor x = normal({kRows, kIn}, 20, compute);
    for (int i = 0; i < 3; ++i) x = (*layers[i])(x);
    return x;
  }
};

TEST_F(AdaptedLayers, AreTheSameWhetherTheyStayInMemoryOrNot) {
  for (const bool is_merged : {false, true}) {
    const auto expected = values_of(run(map_of(Dtype::kBf16, adapters(is_merged)), Dtype::kBf16));
    WeightMap limited = map_of(Dtype::kBf16, adapters(is_merged));
    limited.keep_layers(0);
    EXPECT_EQ(values_of(run(limited, Dtype::kBf16)), expected);
  }
}

// Weights that count how many of their rows were decoded.
class Counted : public ops::WeightRows {
 public:
  explicit Counted(Tensor weight) : weight_(std::move(weight)) {}
  const Shape& shape() const override { return weight_.shape(); }
  std::vector<Tensor> tensors() const override { return {weight_}; }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    ++rows;
    std::copy_n(weight_.data<float>() + row * weight_.dim(1) + channel, n, values);
  }
  mutable std::atomic<int> rows = 0;

 private:
  Tensor weight_;
};

TEST_F(AdaptedLayers, ComputeTheNormsOfDoraOnceWhenTheyAreReadAgain) {
  const auto weight = std::make_shared<const Counted>(normal({kIn, kIn}, 50));
  const ModuleAdapter dora{.delta = low_rank_delta(normal({2, kIn}, 1), normal({kIn, 2}, 2)),
                           .magnitude = normal({kIn}, 3)};
  for (const bool is_merged : {false, true}) {
    auto set = std::make_shared<AdapterSet>(is_merged);
    set->add("layers.0", dora);
    WeightMap map("model");
    map.add_rows("layers.0.weight", weight);
    map.set_adapters(set);
    map.keep_layers(0);
    const Tensor x = normal({kRows, kIn}, 20);
    const LayerList<Linear> layers(WeightScope(map, Dtype::kF32) / "layers", 1,
                                   [](const WeightScope& w) { return Linear(w, kIn, kIn); });
    std::vector<std::vector<float>> results;
    std::vector<int> decoded;
    for (int i = 0; i < 3; ++i) {
      weight->rows = 0;
      results.push_back(values_of((*layers[0])(x)));
      decoded.push_back(weight->rows);
    }
    EXPECT_EQ(decoded, (std::vector<int>{2 * kIn, kIn, kIn}));
    EXPECT_EQ(results[1], results[0]);
    EXPECT_EQ(results[2], results[0]);
    const auto alone = adapted(WeightMatrix(weight), {dora}, {kIn, kIn}, Dtype::kF32, "w");
    if (is_merged) continue;
    EXPECT_EQ(values_of(alone.product(x, {}, Dtype::kF32)), results[0]);
  }
}

TEST_F(AdaptedLayers, MergedIsCloseToTheProducts) {
  const Tensor expected = run(map_of(Dtype::kF32, adapters()), Dtype::kF32);
  EXPECT_LE(relative_error(run(map_of(Dtype::kF32, adapters(true)), Dtype::kF32), expected), 1e-6);
  const Tensor plain = run(map_of(Dtype::kF32, nullptr), Dtype::kF32);
  EXPECT_GE(relative_error(plain, expected), 0.1);
}

TEST_F(AdaptedLayers, WithEightBitsAreCloseToThoseWithout) {
  const Tensor expected = run(map_of(Dtype::kF32, adapters()), Dtype::kF32);
  for (const bool is_merged : {false, true}) {
    WeightMap map = map_of(Dtype::kF32, adapters(is_merged));
    map.set_int8({.uses_stored = true, .quantizes = [](const std::string&) { return true; }});
    EXPECT_LE(relative_error(run(map, Dtype::kF32), expected), 0.03);
  }
}

TEST_F(AdaptedLayers, CountWhatTheAdaptersTake) {
  const WeightMap plain = map_of(Dtype::kF32, nullptr), with = map_of(Dtype::kF32, adapters());
  const auto bytes = [](const WeightMap& map) {
    return (WeightScope(map, Dtype::kF32) / "layers" / "0").resident_bytes();
  };
  EXPECT_EQ(bytes(with) - bytes(plain), 2u * 2 * kIn * sizeof(float));
  const WeightMap converted = map_of(Dtype::kBf16, adapters());
  EXPECT_EQ((WeightScope(converted, Dtype::kBf16) / "layers" / "0").resident_bytes() -
                (WeightScope(map_of(Dtype::kBf16, nullptr), Dtype::kBf16) / "layers" / "0")
                    .resident_bytes(),
            2u * 4096);  // two small copies, a block of the allocator each
}

TEST_F(AdaptedLayers, AddToNorms) {
  auto set = std::make_shared<AdapterSet>();
  set->add("norm", {.delta = {}, .scale = 2, .vector = from_values({3}, {1, 2, 3})});
  WeightMap map("model");
  map.add("norm.weight", from_values({3}, {10, 10, 10}));
  map.set_adapters(set);
  EXPECT_EQ(values_of(WeightScope(map, Dtype::kBf16).operator/("norm").vector("weight", {3})),
            (std::vector<float>{12, 14, 16}));
}

}  // namespace
}  // namespace zimage
