#include "layers/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "io/safetensors.h"
#include "layers/embedding.h"
#include "ops/elementwise.h"
#include "tensor_rows.h"
#include "testing.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(WeightMap, JoinsTheShardsOfAComponent) {
  const TempDir dir;
  save_safetensors(dir / "1.safetensors", {{"a", from_values({2}, {1, 2})}});
  save_safetensors(dir / "2.safetensors", {{"b", zeros({3, 2}, Dtype::kBf16)}});
  WeightMap map("transformer");
  map.add_file(dir / "1.safetensors");
  map.add_file(dir / "2.safetensors");
  EXPECT_EQ(map.where(), "transformer");
  EXPECT_TRUE(map.has("a"));
  EXPECT_TRUE(map.has("b"));
  EXPECT_FALSE(map.has("c"));
  EXPECT_EQ(map.bytes(), 2u * 4 + 6 * 2);
  EXPECT_EQ(values_of(map.take("a", {2})), (std::vector<float>{1, 2}));
  EXPECT_EQ(map.take("b", {3, 2}).dtype(), Dtype::kBf16);
}

TEST(WeightMap, RefusesANameThatTwoShardsHold) {
  const TempDir dir;
  save_safetensors(dir / "1.safetensors", {{"a", zeros({2})}});
  save_safetensors(dir / "2.safetensors", {{"a", zeros({2})}});
  WeightMap map("vae");
  map.add_file(dir / "1.safetensors");
  EXPECT_EQ(error_of([&] { return map.add_file(dir / "2.safetensors"), 0; }),
            "vae: tensor a is in 2.safetensors and again in 1.safetensors; a checkpoint holds each "
            "name once");
  EXPECT_THAT(error_of([&] { return map.add_file(dir / "1.safetensors"), 0; }),
              HasSubstr("is in 1.safetensors and again in 1.safetensors"));
}

TEST(WeightMap, NamesWhatIsMissingOrOfAnotherShape) {
  WeightMap map("transformer");
  map.add("w", zeros({2, 3}), "model.safetensors");
  EXPECT_EQ(error_of([&] { return map.take("v", {2}); }),
            "transformer: tensor v [2] is missing; the files hold 1 tensors");
  EXPECT_EQ(error_of([&] {
              return map.take("w", {3, 2});
            }),
            "transformer/model.safetensors: w is [2, 3], expected [3, 2]");
  EXPECT_EQ(error_of([&] {
              return map.take("w", {2, 3, 1});
            }),
            "transformer/model.safetensors: w is [2, 3], expected [2, 3, 1]");
}

TEST(WeightMap, ListsWhatNobodyTook) {
  WeightMap map("vae");
  map.add("c", zeros({1}));
  map.add("a", zeros({1}));
  map.add("b", zeros({1}));
  EXPECT_THAT(map.untaken(), ElementsAre("a", "b", "c"));
  map.take("b", {1});
  map.take("b", {1});  // tied weights are asked for twice
  EXPECT_EQ(error_of([&] { return map.take("a", {2}); }),
            "vae/memory: a is [1], expected [2]");  // a failure takes nothing
  EXPECT_THAT(map.untaken(), ElementsAre("a", "c"));
  EXPECT_TRUE(map.has("a"));  // and neither does a look
  map.take("a", {1});
  map.take("c", {1});
  EXPECT_THAT(map.untaken(), IsEmpty());
}

TEST(WeightMap, NoticesThatAFileWasTruncated) {
  const TempDir dir;
  save_safetensors(dir / "1.safetensors", {{"a", random_normal({5000}, Dtype::kF32, 1)}});
  WeightMap map("transformer");
  map.add_file(dir / "1.safetensors");
  map.check_intact();
  std::filesystem::resize_file(dir / "1.safetensors", 200);
  EXPECT_EQ(values_of(map.take("a", {5000})).back(), 0);
  EXPECT_THAT(error_of([&] { return map.check_intact(), 0; }),
              HasSubstr("1.safetensors: the file was truncated while in use"));
}

TEST(WeightMap, ReleasedPagesAreReadAgain) {
  const TempDir dir;
  const Tensor a = random_normal({5000}, Dtype::kF32, 1);
  save_safetensors(dir / "1.safetensors", {{"a", a}});
  WeightMap map("transformer");
  map.add_file(dir / "1.safetensors");
  const Tensor view = map.take("a", {5000});
  map.release_pages();
  EXPECT_TRUE(all_close(view, a, 0));
}

TEST(WeightScope, JoinsNamesWithDots) {
  WeightMap map("transformer");
  map.add("layers.0.w1.weight", zeros({1}));
  const WeightScope root(map, Dtype::kBf16);
  const WeightScope layer = root / "layers" / "0";
  EXPECT_EQ(layer.compute(), Dtype::kBf16);
  EXPECT_TRUE((layer / "w1").has("weight"));
  EXPECT_TRUE(layer.has("w1.weight"));
  EXPECT_FALSE(layer.has("w2.weight"));
  EXPECT_FALSE(root.has("weight"));
  EXPECT_EQ(error_of([&] {
              return (layer / "w2").matrix("weight", {2, 2});
            }),
            "transformer: tensor layers.0.w2.weight [2, 2] is missing; the files hold 1 tensors");
}

TEST(WeightScope, KeepsWhatHasTheRightDtypeAsAView) {
  WeightMap map("vae");
  const Tensor w = random_normal({2, 3}, Dtype::kBf16, 1), b = random_normal({2}, Dtype::kF32, 2);
  map.add("w", w);
  map.add("b", b);
  const WeightScope scope(map, Dtype::kBf16);
  EXPECT_EQ(std::as_const(w).raw(), scope.matrix("w", {2, 3}).raw());
  EXPECT_EQ(std::as_const(b).raw(), scope.vector("b", {2}).raw());
}

TEST(WeightScope, ConvertsMatricesToTheComputeDtypeAndVectorsToF32) {
  WeightMap map("vae");
  map.add("f", from_values({2}, {1.0f + 0x1p-20f, -3}));
  map.add("b", tensor_of({2}, {0.5f, 7}, Dtype::kBf16));
  const Tensor half = empty({2}, Dtype::kF16);
  const std::uint16_t bits[2] = {0x3c00, 0xc000};
  std::memcpy(const_cast<std::byte*>(half.raw()), bits, sizeof bits);
  map.add("h", half);

  const WeightScope bf16_scope(map, Dtype::kBf16), f32_scope(map, Dtype::kF32);
  EXPECT_EQ(bf16_scope.matrix("f", {2}).dtype(), Dtype::kBf16);
  EXPECT_EQ(values_of(bf16_scope.matrix("f", {2})), (std::vector<float>{1, -3}));
  EXPECT_EQ(f32_scope.matrix("b", {2}).dtype(), Dtype::kF32);
  EXPECT_EQ(values_of(f32_scope.matrix("b", {2})), (std::vector<float>{0.5f, 7}));
  EXPECT_EQ(values_of(bf16_scope.vector("b", {2})), (std::vector<float>{0.5f, 7}));
  EXPECT_EQ(bf16_scope.vector("b", {2}).dtype(), Dtype::kF32);
  EXPECT_EQ(values_of(bf16_scope.vector("h", {2})), (std::vector<float>{1, -2}));
}

TEST(WeightScope, RefusesIntegersNamingTheTensor) {
  WeightMap map("transformer");
  map.add("layers.0.w", zeros({4}, Dtype::kI8));
  EXPECT_EQ(
      error_of([&] { return (WeightScope(map, Dtype::kBf16) / "layers.0").matrix("w", {4}); }),
      "transformer: tensor layers.0.w is I8, expected floating-point numbers");
}

// What the product with a unit row per channel gives: the weight's columns.
std::vector<float> product_of(const WeightMatrix& weight, std::int64_t in) {
  Tensor unit = zeros({in, in});
  for (std::int64_t i = 0; i < in; ++i) unit.data<float>()[i * in + i] = 1;
  return values_of(weight.product(unit, {}, Dtype::kF32));
}

TEST(WeightScope, QuantisesTheProductWeightsThatThePolicyNames) {
  WeightMap map("transformer");
  map.add("layers.0.w1.weight", random_normal({8, 16}, Dtype::kBf16, 1));
  map.add("layers.0.w2.weight", random_normal({8, 16}, Dtype::kBf16, 2));
  map.add("layers.0.odd.weight", random_normal({8, 6}, Dtype::kBf16, 3));
  map.set_int8({.uses_stored = true,
                .quantizes = [](const std::string& name) { return name != "layers.0.w2.weight"; }});
  const WeightScope layer = WeightScope(map, Dtype::kBf16) / "layers" / "0";
  const WeightMatrix w1 = (layer / "w1").product_weight("weight", {8, 16});
  ASSERT_NE(w1.int8(), nullptr);
  EXPECT_EQ(w1.int8()->rotation, 16);
  EXPECT_EQ((layer / "w2").product_weight("weight", {8, 16}).int8(), nullptr);
  EXPECT_EQ((layer / "odd").product_weight("weight", {8, 6}).int8(), nullptr);
  EXPECT_EQ((layer / "w1").matrix("weight", {8, 16}).dtype(), Dtype::kBf16);
}

TEST(WeightScope, UsesStoredEightBitsOrGivesThemBack) {
  const Tensor dense = random_normal({8, 16}, Dtype::kF32, 4);
  const auto int8 = ops::quantize_int8(dense, 16);
  for (const bool uses_stored : {false, true}) {
    WeightMap map("transformer");
    map.add_int8("w.weight", int8);
    map.set_int8({.uses_stored = uses_stored});
    const WeightScope scope = WeightScope(map, Dtype::kF32) / "w";
    const WeightMatrix weight = scope.product_weight("weight", {8, 16});
    EXPECT_EQ(weight.int8() != nullptr, uses_stored);
    EXPECT_EQ(product_of(weight, 16).size(), 128u);
    EXPECT_EQ(values_of(scope.matrix("weight", {8, 16})),
              values_of(ops::dequantize(int8, Dtype::kF32)));
    EXPECT_GE(scope.resident_bytes(), uses_stored ? 128u + 32u : 512u);
  }
}

TEST(WeightScope, GivesRowsToProductsAndDecodesThemForAllElse) {
  const Tensor values = random_normal({8, 16}, Dtype::kF32, 5);
  WeightMap map("transformer");
  map.add_rows("w.weight", std::make_shared<TensorRows>(values));
  const WeightScope scope = WeightScope(map, Dtype::kF32) / "w";
  EXPECT_NE(scope.product_weight("weight", {8, 16}).rows(), nullptr);
  EXPECT_EQ(values_of(scope.matrix("weight", {8, 16})), values_of(values));
  EXPECT_EQ(values_of(scope.stored("weight", {8, 16})), values_of(values));
  EXPECT_EQ(scope.resident_bytes(), values.bytes());
  EXPECT_EQ(map.bytes(), values.bytes());
  EXPECT_EQ(map.find("w.weight"), nullptr);
  EXPECT_EQ(*map.shape_of("w.weight"), (Shape{8, 16}));
  EXPECT_EQ(error_of([&] {
              return scope.product_weight("weight", {8, 8});
            }),
            "transformer/memory: w.weight is [8, 16], expected [8, 8]");

  map.set_int8({.quantizes = [](const std::string&) { return true; }});
  EXPECT_NE(scope.product_weight("weight", {8, 16}).int8(), nullptr);
}

TEST(Embedding, ReadsRowsOfATableInAnyFormat) {
  const Tensor table = random_normal({7, 16}, Dtype::kF32, 1);
  WeightMap map("m");
  map.add("plain", table);
  map.add("half", ops::cast(table, Dtype::kBf16));
  map.add_rows("rows", std::make_shared<const TensorRows>(table));
  const auto int8 = ops::quantize_int8(table, ops::int8_rotation(16));
  map.add_int8("int8", int8);
  const std::vector<std::int32_t> ids{6, 0, 6};
  const auto expect_rows = [&](const std::string& name, const Tensor& values) {
    const Embedding embedding(WeightScope(map, Dtype::kBf16).table(name, {7, 16}));
    const Tensor rows = embedding(ids);
    ASSERT_EQ(rows.shape(), (Shape{3, 16}));
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(values_of(rows.slice(i, i + 1)), values_of(values.slice(ids[i], ids[i] + 1)))
          << name;
    }
    EXPECT_EQ(error_of([&] { return embedding(std::vector<std::int32_t>{7}); }),
              "text encoder: token 0 has id 7, expected 0 to 6");
  };
  expect_rows("plain", table);
  expect_rows("half", ops::cast(table, Dtype::kBf16));
  expect_rows("rows", table);
  expect_rows("int8", ops::dequantize(int8, Dtype::kF32));
}

}  // namespace
}  // namespace zimage
