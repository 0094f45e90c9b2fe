#include "models/weight_files.h"

#include <gmock/gmock.h>

#include <fstream>

#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class WeightFilesTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directory(folder_); }
  void add(const std::vector<std::string>& names) {
    for (const std::string& name : names) std::ofstream(folder_ / name) << "x";
  }
  void add_index(const std::string& name, const std::vector<std::string>& shards) {
    std::string map;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      map += str(i > 0 ? "," : "", "\"t", i, "\": \"", shards[i], "\"");
    }
    std::ofstream(folder_ / name) << R"({"weight_map": {)" << map << "}}";
  }
  std::vector<std::string> find(const std::string& variant = "") {
    const WeightFiles found = find_weight_files(folder_, "model", variant);
    note_ = found.note;
    std::vector<std::string> names;
    for (const fs::path& file : found.files) names.push_back(file.filename());
    return names;
  }

  TempDir dir_;
  fs::path folder_ = dir_ / "text_encoder";
  std::string note_;
};

TEST_F(WeightFilesTest, MatchesAVariantAsAWordOfItsOwn) {
  EXPECT_EQ(normalized_variant("  FP16\n"), "fp16");
  EXPECT_EQ(normalized_variant(" \t"), "");
  for (const char* name : {"model.fp16.safetensors", "model.FP16-00001-of-00002.safetensors",
                           "fp16", "a-fp16_b", "x.fp16x.fp16"}) {
    EXPECT_TRUE(matches_variant(name, "fp16")) << name;
  }
  for (const char* name : {"model.fp16x.safetensors", "xfp16", "fp1", "model.safetensors", ""}) {
    EXPECT_FALSE(matches_variant(name, "fp16")) << name;
  }
}

TEST_F(WeightFilesTest, TakesThePlainSetWithoutAVariantAndTheVariantsWithOne) {
  add({"model.safetensors", "model.fp16.safetensors"});
  EXPECT_THAT(find(), ElementsAre("model.safetensors"));
  EXPECT_THAT(note_, HasSubstr("several sets of weights (model, model.fp16); using model"));
  EXPECT_THAT(find("fp16"), ElementsAre("model.fp16.safetensors"));
  EXPECT_EQ(note_, "");
  EXPECT_THAT(find("bf16"), ElementsAre());
}

TEST_F(WeightFilesTest, PrefersTheVariantsIndexInEitherSpelling) {
  add({"model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors",
       "model.safetensors"});
  for (const std::string index :
       {"model.fp16.safetensors.index.json", "model.safetensors.index.fp16.json"}) {
    add_index(index, {"model.fp16-00002-of-00002.safetensors",
                      "text_encoder/model.fp16-00001-of-00002.safetensors"});
    EXPECT_THAT(find("fp16"), ElementsAre("model.fp16-00001-of-00002.safetensors",
                                          "model.fp16-00002-of-00002.safetensors"));
    fs::remove(folder_ / index);
  }
}

TEST_F(WeightFilesTest, NeverMixesSetsOfAnIndexThatHoldsBoth) {
  add({"model-00001-of-00001.safetensors", "model-00001-of-00001.fp16.safetensors"});
  add_index("model.safetensors.index.json",
            {"model-00001-of-00001.safetensors", "model-00001-of-00001.fp16.safetensors"});
  EXPECT_THAT(find(), ElementsAre("model-00001-of-00001.safetensors"));
  EXPECT_THAT(find("fp16"), ElementsAre("model-00001-of-00001.fp16.safetensors"));
}

TEST_F(WeightFilesTest, SortsShardsByNumberAndMissesNone) {
  add({"model-00002-of-00003.safetensors", "model-00001-of-00003.safetensors"});
  EXPECT_THAT(error_of([&] { return find(); }), HasSubstr("is one of 3 shards, but 2 are there"));
  add({"model-00003-of-00003.safetensors"});
  EXPECT_THAT(find(),
              ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                          "model-00003-of-00003.safetensors"));
}

TEST_F(WeightFilesTest, NeverMixesShardsOfDifferentSets) {
  add({"model-00001-of-00002.safetensors", "model-00002-of-00003.safetensors"});
  EXPECT_THAT(error_of([&] { return find(); }), HasSubstr("are shards of different sets"));
}

TEST_F(WeightFilesTest, RefusesAnIndexThatLacksAShardAndPassesOneThatLacksAll) {
  add({"model.safetensors"});
  add_index("model.safetensors.index.json",
            {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
  EXPECT_THAT(find(), ElementsAre("model.safetensors"));
  add({"model-00001-of-00002.safetensors"});
  EXPECT_THAT(error_of([&] { return find(); }),
              HasSubstr("names model-00002-of-00002.safetensors, which is missing"));
}

TEST_F(WeightFilesTest, TakesAnyFileWhenNoneHasTheExpectedName) {
  add({"qwen.safetensors", "readme.txt"});
  EXPECT_THAT(find(), ElementsAre("qwen.safetensors"));
  add({"model.safetensors", "modelx.safetensors"});
  EXPECT_THAT(find(), ElementsAre("model.safetensors"));
}

}  // namespace
}  // namespace zimage
