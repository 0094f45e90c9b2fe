// The program and repositories that hold checkpoint files alone, or control networks.
#include <gmock/gmock.h>

#include <fstream>

#include "gguf_writer.h"
#include "hub_program_testing.h"
#include "io/safetensors.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRepo = "some/z-image-turbo-gguf";

// The weights of a component of the test snapshot in f32.
std::string gguf_of(const std::string& component) {
  constexpr std::uint32_t kF32 = 0;
  GgufWriter writer;
  for (const auto& entry :
       fs::directory_iterator(fs::path(test_data("pipeline/snapshot")) / component)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile weights = SafetensorsFile::open(entry.path());
    for (const auto& [name, tensor] : weights.tensors()) {
      const Tensor values = ops::cast(tensor, Dtype::kF32);
      writer.tensor(name, kF32, values.shape(),
                    {reinterpret_cast<const char*>(values.raw()), values.bytes()});
    }
  }
  return writer.file();
}

class HubFilesTest : public HubProgramTest {
 protected:
  HubFilesTest() : HubProgramTest(kRepo) {
    hub_.add("README.md", "# words");
    hub_.add("config.json", "{}");
    hub_.add("zit-q8.gguf", gguf_of("transformer"), true);
  }
  void add_text_encoder() { hub_.add("te/qwen.gguf", gguf_of("text_encoder"), true); }
  Result draw(std::vector<std::string> more) const {
    more.insert(more.begin(), {"generate", "a cat", "-W", "64", "-H", "64", "-s", "2", "--seed",
                               "1", "--no-progress", "-o", "a.png"});
    return run(more);
  }
  static std::string snapshot() { return test_data("pipeline/snapshot"); }
};

TEST_F(HubFilesTest, AFileOfARepositoryReplacesAPart) {
  add_text_encoder();
  const std::string id = kRepo;
  const std::vector<std::string> args{"-m",
                                      snapshot(),
                                      "--transformer",
                                      id + ":zit-q8.gguf",
                                      "--text-encoder",
                                      id + ":te/qwen.gguf"};
  const Result first = draw(args);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_TRUE(fs::exists(cached("zit-q8.gguf")));
  EXPECT_TRUE(fs::exists(cached("te/qwen.gguf")));
  EXPECT_FALSE(fs::exists(cached("README.md")));

  const std::size_t asked = requests();
  EXPECT_EQ(draw(args).code, 0);
  EXPECT_EQ(requests(), asked);  // what is cached needs no network
  is_offline_ = true;
  EXPECT_EQ(draw(args).code, 0);
}

TEST_F(HubFilesTest, TheOnlyFileIsTheModel) {
  const std::vector<std::string> args{"-m", kRepo, "--base-model", snapshot()};
  const Result first = draw(args);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_TRUE(fs::exists(cached("zit-q8.gguf")));
  EXPECT_FALSE(fs::exists(cached("config.json")));
  const std::string picture = text_of(dir_ / "a.png");

  is_offline_ = true;
  EXPECT_EQ(draw(args).code, 0);
  EXPECT_EQ(text_of(dir_ / "a.png"), picture);
  EXPECT_EQ(draw({"-m", str(kRepo, ":main:zit-q8.gguf"), "--base-model", snapshot()}).code, 0);
}

TEST_F(HubFilesTest, SeveralFilesAreListedWithTheirSizes) {
  add_text_encoder();
  hub_.add("zit-q4.gguf", std::string(1500000, 'x'), true);
  const std::string choice = "zit-q4.gguf (2 MB), zit-q8.gguf (";
  const Result model = draw({"-m", kRepo, "--base-model", snapshot()});
  EXPECT_EQ(model.code, 1);
  EXPECT_THAT(model.err, HasSubstr(str("error: model ", kRepo, ": ", kRepo,
                                       " holds several files, te/qwen.gguf (")));
  EXPECT_THAT(model.err, HasSubstr(choice));
  EXPECT_THAT(model.err, HasSubstr(str("; name one of them, such as ", kRepo, ":te/qwen.gguf")));
  const Result part = draw({"-m", snapshot(), "--transformer", kRepo});
  EXPECT_THAT(part.err, HasSubstr(str("error: --transformer ", kRepo, ": ")));
  EXPECT_THAT(part.err, HasSubstr(choice));
  const Result wrong = draw({"-m", snapshot(), "--vae", str(kRepo, ":vae.gguf")});
  EXPECT_THAT(wrong.err, HasSubstr("holds no such file; it holds te/qwen.gguf ("));
  EXPECT_TRUE(hub_.cdn().requests().empty());
}

TEST_F(HubFilesTest, AFileOfAnotherKindIsRefused) {
  add_text_encoder();
  EXPECT_THAT(draw({"-m", snapshot(), "--transformer", str(kRepo, ":te/qwen.gguf")}).err,
              HasSubstr("holds no transformer; it holds text_encoder"));
  EXPECT_THAT(draw({"-m", snapshot(), "--transformer", "./no.gguf"}).err,
              HasSubstr("no such file; expected a checkpoint or, on the hub, org/name:FILE"));
  const Result unknown = draw({"-m", snapshot(), "--transformer", "other/name:no.gguf"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("other/name: not found on " + hub_.url()));
  is_offline_ = true;
  EXPECT_THAT(draw({"-m", snapshot(), "--transformer", str(kRepo, ":zit-q8.gguf")}).err,
              HasSubstr("HF_HUB_OFFLINE"));
}

TEST_F(HubFilesTest, AFileThatIsNewOnTheHubIsFetched) {
  ASSERT_EQ(draw({"-m", kRepo, "--base-model", snapshot()}).code, 0);
  add_text_encoder();
  const std::vector<std::string> args{"-m", snapshot(), "--text-encoder",
                                      str(kRepo, ":te/qwen.gguf")};
  is_offline_ = true;
  EXPECT_THAT(draw(args).err, HasSubstr("holds no such file"));
  is_offline_ = false;
  const Result result = draw(args);
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(HubFilesTest, DownloadFetchesTheFile) {
  add_text_encoder();
  const std::string file = str(kRepo, ":te/qwen.gguf");
  EXPECT_THAT(run({"download", kRepo}).err, HasSubstr("holds several files"));
  const Result plan = run({"download", file, "--dry-run"});
  EXPECT_THAT(plan.out, HasSubstr("te/qwen.gguf"));
  EXPECT_EQ(plan.out.find("zit-q8"), std::string::npos);
  const Result result = run({"download", file, "--no-progress"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, cached("te/qwen.gguf").string() + "\n");
  is_offline_ = true;
  EXPECT_EQ(run({"download", file}).out, result.out);
  EXPECT_THAT(run({"download", str(kRepo, ":zit-q8.gguf")}).err, HasSubstr("HF_HUB_OFFLINE"));
  for (const char* wrong : {":../../x.gguf", ":no.gguf"}) {
    const Result refused = run({"download", kRepo + std::string(wrong)});
    EXPECT_EQ(refused.code, 1);
    EXPECT_EQ(refused.out, "");
    EXPECT_THAT(refused.err, HasSubstr("holds no such file"));
  }
}

TEST_F(HubFilesTest, DownloadWithoutTheHubTellsTheOnlyFileOrThatItLacks) {
  const Result first = run({"download", kRepo, "--no-progress"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, cached("zit-q8.gguf").string() + "\n");
  is_offline_ = true;
  EXPECT_EQ(run({"download", kRepo}).out, first.out);
  fs::remove(cached("zit-q8.gguf"));
  std::ofstream(cached("README.md")) << "# words";
  const Result lacking = run({"download", kRepo});
  EXPECT_EQ(lacking.code, 1);
  EXPECT_EQ(lacking.out, "");
  EXPECT_THAT(lacking.err, HasSubstr("HF_HUB_OFFLINE is set"));
}

TEST_F(HubFilesTest, DownloadListsSeveralCheckpointsOfEitherKind) {
  hub_.add("split_files/a.safetensors", "a", true);
  const Result result = run({"download", kRepo, "--dry-run"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("holds several files, split_files/a.safetensors ("));
}

TEST_F(HubFilesTest, ASnapshotThatDoesNotListTheFileIsNotTakenForIt) {
  ASSERT_EQ(run({"download", kRepo, "--no-progress"}).code, 0);
  fs::remove(cached("zit-q8.gguf"));
  fs::remove_all(repo_folder_ / "refs");
  const std::string other(40, '2');
  fs::create_directories(repo_folder_ / "snapshots" / other);
  std::ofstream(repo_folder_ / "trees" / (other + ".json"))
      << R"({"format_version": 1, "files": {"x.json": {"size": 9, "blob_id": "1"}}})";
  is_offline_ = true;
  const Result result = draw({"-m", str(kRepo, ":zit-q8.gguf"), "--base-model", snapshot()});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("HF_HUB_OFFLINE is set"));
}

TEST_F(HubFilesTest, ACacheWithoutAListingDoesNotHideTheHub) {
  ASSERT_EQ(run({"download", kRepo, "--no-progress"}).code, 0);
  fs::remove_all(repo_folder_ / "trees");
  const std::vector<std::string> named{"-m", str(kRepo, ":zit-q8.gguf"), "--base-model",
                                       snapshot()};
  const std::size_t asked = requests();
  EXPECT_EQ(draw(named).code, 0);
  EXPECT_EQ(requests(), asked);  // the file that is named is there
  fs::remove(cached("zit-q8.gguf"));
  std::ofstream(cached("README.md")) << "# words";
  const Result result = draw({"-m", kRepo, "--base-model", snapshot()});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(HubFilesTest, TheNameOfTheFileTellsTheFamilyBeforeThatOfTheRepository) {
  hub_.add("z-image-base.gguf", gguf_of("transformer"), true);
  const Result base = draw({"-m", str(kRepo, ":z-image-base.gguf")});
  EXPECT_THAT(base.err, HasSubstr("error: Tongyi-MAI/Z-Image: not found"));
  const Result turbo = draw({"-m", str(kRepo, ":zit-q8.gguf")});
  EXPECT_THAT(turbo.err, HasSubstr("error: Tongyi-MAI/Z-Image-Turbo: not found"));
}

class HubControlTest : public HubProgramTest {
 protected:
  static constexpr const char* kNetwork = "some/control-8bit";
  HubControlTest() : HubProgramTest(kNetwork) {
    // 8 bits in groups of 32, which without the manifest could be 4 bits in groups of 64.
    const Result made =
        run({"quantize-controlnet", "-i", test_data("control/union-2.1.safetensors"), "-o", "net"});
    check(made.code == 0, made.err);
    hub_.add_folder(dir_ / "net");
    hub_.add("README.md", "# words");
  }
  Result draw(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args{"control", "-m", test_data("pipeline/snapshot"), "-p", "a cat"};
    args.insert(args.end(), {"-c", test_data("image_to_image/scene.png"), "--cw", kNetwork});
    args.insert(args.end(), {"-s", "2", "-o", "a.png"});
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
};

TEST_F(HubControlTest, AQuantisedNetworkComesWithItsManifest) {
  const Result first = draw();
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_TRUE(fs::exists(cached("model.safetensors")));
  EXPECT_TRUE(fs::exists(cached("controlnet_quantization.json")));
  EXPECT_FALSE(fs::exists(cached("README.md")));
  const std::size_t asked = requests();
  EXPECT_EQ(draw().code, 0);
  EXPECT_EQ(requests(), asked);
}

TEST_F(HubControlTest, AManifestThatLacksInTheCacheIsFetched) {
  const std::vector<std::string> named{"--cf", "model.safetensors"};
  ASSERT_EQ(draw(named).code, 0);
  fs::remove(cached("controlnet_quantization.json"));
  is_offline_ = true;
  EXPECT_THAT(draw(named).err, HasSubstr("HF_HUB_OFFLINE is set"));
  is_offline_ = false;
  const Result again = draw(named);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(fs::exists(cached("controlnet_quantization.json")));
}

}  // namespace
}  // namespace zimage
