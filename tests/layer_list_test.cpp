#include "layers/layer_list.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "io/safetensors.h"
#include "layers/linear.h"
#include "testing.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kLayers = 4, kWidth = 1024;
constexpr std::uint64_t kLayerBytes = std::uint64_t{kWidth} * kWidth * 2;

// Checkpoint files of square matrices "layers.0.weight", ... in the dtype.
class LayerLists : public testing::Test {
 protected:
  WeightMap map_of(Dtype dtype) const {
    std::map<std::string, Tensor> tensors;
    for (int i = 0; i < kLayers; ++i) {
      tensors[str("layers.", i, ".weight")] =
          random_normal({kWidth, kWidth}, dtype, static_cast<std::uint64_t>(i));
    }
    save_safetensors(dir_ / "model.safetensors", tensors);
    WeightMap map("model");
    map.add_file(dir_ / "model.safetensors");
    return map;
  }
  // Notes which layers are built, by the first number of their weights.
  LayerList<Linear> list_of(const WeightMap& map) {
    return {WeightScope(map, Dtype::kBf16) / "layers", kLayers, [this](const WeightScope& weights) {
              ++built_;
              return Linear(weights, kWidth, kWidth);
            }};
  }
  Tensor run(const LayerList<Linear>& layers) const {
    Tensor x = random_normal({3, kWidth}, Dtype::kBf16, 9, 0.03f);
    for (int i = 0; i < layers.size(); ++i) x = (*layers[i])(x);
    return x;
  }

  TempDir dir_;
  int built_ = 0;
};

TEST_F(LayerLists, ComputeTheSameWhetherLayersStayOrNot) {
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kF32, Dtype::kF16}) {
    const WeightMap map = map_of(dtype);
    const auto expected = values_of(run(list_of(map)));
    for (const std::uint64_t kept : {0, 2, 3}) {
      SCOPED_TRACE(str(dtype, ", ", kept, " layers stay"));
      WeightMap limited = map_of(dtype);
      limited.keep_layers(kept * kLayerBytes);
      EXPECT_EQ(values_of(run(list_of(limited))), expected);
    }
  }
}

TEST_F(LayerLists, BuildAgainOnlyTheLayersThatHaveNoRoom) {
  WeightMap map = map_of(Dtype::kBf16);
  map.keep_layers(2 * kLayerBytes + 1);
  const LayerList<Linear> layers = list_of(map);
  EXPECT_EQ(built_, kLayers);  // once, to find and check all weights
  (void)run(layers);
  EXPECT_EQ(built_, kLayers + 2);
  EXPECT_THAT(map.untaken(), testing::IsEmpty());
}

TEST_F(LayerLists, ShareTheRoomInTheOrderInWhichTheyAreMade) {
  WeightMap map = map_of(Dtype::kBf16);
  map.keep_layers(5 * kLayerBytes);
  const LayerList<Linear> first = list_of(map), second = list_of(map);
  built_ = 0;
  (void)run(first);
  EXPECT_EQ(built_, 0);
  (void)run(second);
  EXPECT_EQ(built_, 3);
}

TEST_F(LayerLists, FindAWrongWeightOfAnyLayerWhileLoading) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, 9 * kLayerBytes}) {
    WeightMap map("model");
    map.keep_layers(bytes);
    for (int i = 0; i < kLayers - 1; ++i) {
      map.add(str("layers.", i, ".weight"), zeros({kWidth, kWidth}, Dtype::kBf16));
    }
    EXPECT_THAT(error_of([&] { return list_of(map).size(); }),
                HasSubstr("layers.3.weight [1024, 1024] is missing"));
    map.add("layers.3.weight", zeros({kWidth, 1}, Dtype::kBf16));
    EXPECT_THAT(error_of([&] { return list_of(map).size(); }),
                HasSubstr("layers.3.weight is [1024, 1], expected [1024, 1024]"));
  }
}

// Pages of mapped files that this process has, in bytes.
std::int64_t mapped_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0, resident = 0, shared = 0;
  file >> size >> resident >> shared;
  return shared * sysconf(_SC_PAGESIZE);
}

TEST_F(LayerLists, LeaveMemoryWithTheLayerThatWasUsed) {
  WeightMap map = map_of(Dtype::kBf16);
  map.keep_layers(0);
  const LayerList<Linear> layers = list_of(map);
  (void)run(layers);  // code that is used for the first time is mapped, too
  const std::int64_t before = mapped_bytes();
  std::vector<std::int64_t> during;
  for (int i = 0; i < kLayers; ++i) {
    const auto layer = layers[i];
    (void)(*layer)(zeros({3, kWidth}, Dtype::kBf16));
    during.push_back((mapped_bytes() - before) / (1 << 19));
  }
  EXPECT_THAT(during, testing::Each(testing::AllOf(testing::Ge(3), testing::Le(5))));  // 2 MiB
  EXPECT_LT(mapped_bytes() - before, 1 << 19);
}

TEST_F(LayerLists, LeaveNoPagesOfFilesThatAreConverted) {
  const WeightMap map = map_of(Dtype::kF32);
  (void)run(list_of(map));
  const std::int64_t before = mapped_bytes();
  const LayerList<Linear> layers = list_of(map);
  EXPECT_LT(mapped_bytes() - before, 1 << 19);
}

TEST(ResidentWeightBytes, AreThoseOfTheTypeThatIsUsed) {
  const Shape matrix{64, 1024}, vector{4096};
  EXPECT_EQ(resident_weight_bytes(matrix, Dtype::kBf16, false, Dtype::kBf16), 131072u);
  EXPECT_EQ(resident_weight_bytes(matrix, Dtype::kF32, false, Dtype::kBf16), 131072u);
  EXPECT_EQ(resident_weight_bytes(matrix, Dtype::kF8E4M3, true, Dtype::kBf16), 131072u);
  EXPECT_EQ(resident_weight_bytes(matrix, Dtype::kBf16, false, Dtype::kF32), 262144u);
  EXPECT_EQ(resident_weight_bytes(vector, Dtype::kBf16, false, Dtype::kBf16), 16384u);
  EXPECT_EQ(resident_weight_bytes({1}, Dtype::kBf16, false, Dtype::kBf16), 4096u);  // a block
}

}  // namespace
}  // namespace zimage
