// The program against a hub that holds adapters.
#include <gmock/gmock.h>

#include "fake_hub.h"
#include "io/safetensors.h"
#include "program_testing.h"
#include "zimage/image.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRepo = "someone/style";

class AdapterDownload : public ProgramTest {
 protected:
  void SetUp() override { fs::create_directory(dir_ / "work"); }

  // A LoRA of rank 2 for a layer of the test snapshot.
  std::string lora(std::uint64_t seed) const {
    const std::string name = "transformer.layers.0.attention.to_q.lora_";
    const fs::path path = dir_ / "lora.safetensors";
    save_safetensors(path,
                     {{name + "A.weight", random_normal({2, 64}, Dtype::kF32, seed, 0.5f)},
                      {name + "B.weight", random_normal({64, 2}, Dtype::kF32, seed + 1, 0.5f)}});
    return text_of(path);
  }

  Result draw(const std::string& adapter, std::vector<std::string> more = {}) {
    std::vector<std::string> args{"generate", "-m", test_data("pipeline/snapshot"), "a cat"};
    args.insert(args.end(), {"-W", "64", "-H", "64", "-s", "2", "-g", "0", "--seed", "1"});
    args.insert(args.end(), {"-o", "a.png", "--lora", adapter});
    args.insert(args.end(), more.begin(), more.end());
    std::vector<std::string> variables{"HF_ENDPOINT=" + hub_.url(),
                                       "HF_HUB_CACHE=" + (dir_ / "hub").string(),
                                       "OMP_WAIT_POLICY=passive"};
    if (is_offline_) variables.emplace_back("HF_HUB_OFFLINE=1");
    return finish(start_in(dir_ / "work", args, pointers_to(variables).data()));
  }
  std::vector<std::uint8_t> pixels_of(const std::string& adapter,
                                      const std::vector<std::string>& more = {}) {
    const Result result = draw(adapter, more);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_image(dir_ / "work/a.png").image.pixels;
  }
  void expect_error(const Result& result, const std::string& message) const {
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, testing::StartsWith("error: "));
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(dir_ / "work/a.png"));
  }
  fs::path folder() const {
    return dir_ / "hub/models--someone--style/snapshots" / std::string(FakeHub::kCommit);
  }
  std::size_t count_requests() const {
    return hub_.hub().requests().size() + hub_.cdn().requests().size();
  }
  // Puts a file on this machine, with nothing beside it.
  std::string local(const std::string& name, const std::string& content) const {
    const fs::path path = dir_ / name / "adapter.safetensors";
    fs::create_directory(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  bool is_offline_ = false;
  FakeHub hub_{kRepo};
};

TEST_F(AdapterDownload, TheOnlyFileOfARepositoryIsFetchedAndFoundAgainWithoutTheHub) {
  hub_.add("README.md", "# words");
  hub_.add("sample.png", "a picture");
  hub_.add("lora.safetensors", lora(1), true);
  const auto pixels = pixels_of(kRepo);
  EXPECT_EQ(pixels, pixels_of(local("same", lora(1))));
  EXPECT_NE(pixels, pixels_of(std::string(kRepo) + "@0"));
  EXPECT_FALSE(fs::exists(folder() / "README.md"));
  const std::size_t asked = count_requests();
  EXPECT_EQ(pixels_of(kRepo), pixels);
  is_offline_ = true;
  EXPECT_EQ(pixels_of(kRepo), pixels);
  EXPECT_EQ(count_requests(), asked);
  fs::remove_all(dir_ / "hub/models--someone--style/trees");  // a cache of an older client
  EXPECT_EQ(pixels_of(kRepo), pixels);
}

TEST_F(AdapterDownload, OneOfSeveralFilesIsChosenByName) {
  hub_.add("a.safetensors", lora(1), true);
  hub_.add("more/b.safetensors", lora(3), true);
  const std::string id = kRepo;
  expect_error(draw(id),
               "--lora someone/style: holds several files, a.safetensors, "
               "more/b.safetensors; --lora-file names the one to use");
  expect_error(draw(id + ":c.safetensors"),
               "--lora-file c.safetensors: someone/style holds a.safetensors, more/b.safetensors");
  EXPECT_TRUE(hub_.cdn().requests().empty());
  const auto b = pixels_of(local("b", lora(3)));
  EXPECT_EQ(pixels_of(id + ":more/b.safetensors"), b);
  EXPECT_FALSE(fs::exists(folder() / "a.safetensors"));
  EXPECT_EQ(pixels_of(id, {"--lora-file", "a.safetensors"}), pixels_of(local("a", lora(1))));
  EXPECT_EQ(pixels_of(id, {"--lora-file", "more/b.safetensors"}), b);
}

TEST_F(AdapterDownload, ARevisionIsTheOneThatWasAskedFor) {
  hub_.add("a.safetensors", lora(1), true);
  hub_.add("b.safetensors", lora(3), true);
  const std::string id = kRepo;
  expect_error(draw(id + ":v9:a.safetensors"), "someone/style has no revision v9");
  const auto pixels = pixels_of(id + ":" + FakeHub::kCommit + ":a.safetensors@0.5");
  EXPECT_EQ(pixels, pixels_of(local("a", lora(1)) + "@0.5"));
  is_offline_ = true;
  EXPECT_EQ(pixels_of(id + ":" + FakeHub::kCommit + ":a.safetensors@0.5"), pixels);
  fs::remove(dir_ / "work/a.png");
  expect_error(draw(id + ":v9:a.safetensors"), "HF_HUB_OFFLINE is set");
}

TEST_F(AdapterDownload, TheConfigurationBesideTheFileIsFetchedWithIt) {
  const std::string config = R"({"r": 2, "lora_alpha": 1, "peft_type": "LORA"})";
  hub_.add("adapter_config.json", R"({"r": 2, "lora_alpha": 64, "peft_type": "LORA"})");
  hub_.add("style/adapter_config.json", config);
  hub_.add("style/adapter_model.safetensors", lora(1), true);
  const auto half = pixels_of(local("same", lora(1)) + "@0.5");
  EXPECT_EQ(pixels_of(kRepo), half);
  EXPECT_FALSE(fs::exists(folder() / "adapter_config.json"));
  // The file alone would be drawn with at another strength.
  fs::remove(folder() / "style/adapter_config.json");
  EXPECT_EQ(pixels_of(std::string(kRepo) + ":style/adapter_model.safetensors"), half);
  EXPECT_TRUE(fs::exists(folder() / "style/adapter_config.json"));
}

TEST_F(AdapterDownload, WhatIsNotThereIsSaid) {
  expect_error(draw("nobody/nothing"), "nobody/nothing");
  expect_error(draw(kRepo), "holds no .safetensors file, expected that of an adapter");
  is_offline_ = true;
  expect_error(draw(kRepo), "HF_HUB_OFFLINE is set");
  EXPECT_FALSE(fs::exists(dir_ / "hub/models--someone--style/snapshots"));
}

}  // namespace
}  // namespace zimage
