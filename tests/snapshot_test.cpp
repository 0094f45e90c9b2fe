#include "models/snapshot.h"

#include <gmock/gmock.h>

#include <fstream>

#include "models/preset.h"
#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

// A private copy of the test snapshot, to be damaged.
class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() { fs::copy(test_data("pipeline/snapshot"), root_, fs::copy_options::recursive); }
  std::string error() const {
    return error_of([&] { return Snapshot::open(root_); });
  }

  TempDir dir_;
  fs::path root_ = dir_ / "model";
};

TEST_F(SnapshotTest, FindsShardsByTheIndexAndASingleFileByItsName) {
  const Snapshot snapshot = Snapshot::open(root_);
  EXPECT_EQ(snapshot.weight_files("transformer").size(), 2u);
  EXPECT_EQ(snapshot.weight_files("vae"),
            std::vector<fs::path>{root_ / "vae" / "diffusion_pytorch_model.safetensors"});
}

TEST_F(SnapshotTest, NamesTheMissingPart) {
  for (const std::string part :
       {"model_index.json", "transformer/config.json", "text_encoder/config.json",
        "vae/config.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json",
        "vae/diffusion_pytorch_model.safetensors",
        "transformer/diffusion_pytorch_model-00002-of-00002.safetensors"}) {
    fs::rename(root_ / part, root_ / "away");
    EXPECT_THAT(error(), HasSubstr(fs::path(part).filename().string()));
    fs::rename(root_ / "away", root_ / part);
  }
  EXPECT_EQ(error(), "");
}

TEST_F(SnapshotTest, RefusesWhatIsNoZImage) {
  write_text(root_ / "model_index.json", R"({"_class_name": "FluxPipeline"})");
  EXPECT_THAT(error(), HasSubstr("_class_name is FluxPipeline, expected ZImagePipeline"));
  EXPECT_THAT(error_of([&] { return Snapshot::open(root_ / "nowhere"); }),
              HasSubstr("no such folder"));
  EXPECT_THAT(error_of([&] { return Snapshot::open(root_ / "model_index.json"); }),
              HasSubstr("is no folder"));
}

TEST_F(SnapshotTest, RefusesShardsOutsideTheComponent) {
  const fs::path index = root_ / "transformer" / "diffusion_pytorch_model.safetensors.index.json";
  for (const std::string shard :
       {"../vae/diffusion_pytorch_model.safetensors", "/etc/passwd", "..", ""}) {
    write_text(index, R"({"weight_map": {"a": ")" + shard + R"("}})");
    EXPECT_THAT(error(), HasSubstr("is not a .safetensors file name of this folder")) << shard;
  }
  write_text(index, R"({"weight_map": {}})");
  EXPECT_THAT(error(), HasSubstr("weight_map is empty"));
  write_text(index, R"({"weight_map": {"a": 3}})");
  EXPECT_NE(error(), "");
  write_text(index, "{");
  EXPECT_THAT(error(), HasSubstr("diffusion_pytorch_model.safetensors.index.json"));
}

TEST_F(SnapshotTest, AcceptsShardsNamedWithTheirFolder) {
  write_text(root_ / "vae" / "diffusion_pytorch_model.safetensors.index.json",
             R"({"weight_map": {"a": "vae/diffusion_pytorch_model.safetensors"}})");
  EXPECT_EQ(error(), "");
}

TEST_F(SnapshotTest, TellsTheFamilyByTypeThenByShift) {
  const auto family = [&] { return family_of_metadata(root_); };
  const auto set_shift = [&](const std::string& shift) {
    write_text(root_ / "scheduler" / "scheduler_config.json", R"({"shift": )" + shift + "}");
  };
  set_shift("3.0");
  EXPECT_EQ(family(), Family::kTurbo);
  set_shift("6.0");
  EXPECT_EQ(family(), Family::kBase);
  write_text(root_ / "model_index.json", R"({"model_type": "z-image-turbo"})");
  EXPECT_EQ(family(), Family::kTurbo);
  set_shift("3.0");
  write_text(root_ / "model_index.json", R"({"model_type": "z-image"})");
  EXPECT_EQ(family(), Family::kBase);
}

TEST_F(SnapshotTest, NamesTheComponentsWithoutAVariant) {
  fs::copy(root_ / "vae" / "diffusion_pytorch_model.safetensors",
           root_ / "vae" / "diffusion_pytorch_model.fp16.safetensors");
  EXPECT_THAT(error_of([&] { return Snapshot::open(root_, {.weights_variant = "FP16"}); }),
              HasSubstr("no weights of the variant fp16 for transformer, text_encoder; without "
                        "--weights-variant"));
}

TEST(Preset, DiffersBetweenTurboAndBase) {
  EXPECT_EQ(preset_of(Family::kTurbo).steps, 9);
  EXPECT_EQ(preset_of(Family::kTurbo).guidance_scale, 0);
  EXPECT_EQ(preset_of(Family::kBase).steps, 50);
  EXPECT_EQ(preset_of(Family::kBase).guidance_scale, 4);
}

}  // namespace
}  // namespace zimage
