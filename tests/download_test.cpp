// The program against a hub: a model is named, fetched, drawn with, and found again.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>

#include "hub_program_testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kBase = "Tongyi-MAI/Z-Image";

class DownloadTest : public HubProgramTest {
 protected:
  DownloadTest() : HubProgramTest(kBase) {
    hub_.add_folder(test_data("pipeline/snapshot"));
    // Base's shift, so that its preset and its schedule are drawn with.
    std::string scheduler = text_of(test_data("pipeline/snapshot/scheduler/scheduler_config.json"));
    const auto at = scheduler.find("\"shift\": 3.0");
    if (at != scheduler.npos) scheduler.replace(at, 12, "\"shift\": 6.0");
    hub_.add("scheduler/scheduler_config.json", scheduler);
    hub_.add("README.md", "# words");
  }
};

TEST_F(DownloadTest, BaseIsResolvedFetchedAndDrawnWithItsOwnDefaults) {
  const Result result = run({"generate", "-m", kBase, "-p", "a cat", "-W", "64", "-H", "64", "-s",
                             "3", "--seed", "1", "--json", "-o", "a.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("guidance").get<double>(), 4);
  EXPECT_EQ(record.at("model"), kBase);
  EXPECT_TRUE(fs::exists(dir_ / "a.png"));
  EXPECT_FALSE(fs::exists(dir_ / "hub/models--Tongyi-MAI--Z-Image/snapshots" / FakeHub::kCommit /
                          "README.md"));

  const std::size_t asked = hub_.hub().requests().size();
  EXPECT_EQ(
      run({"generate", "-m", "base", "a cat", "-W", "64", "-H", "64", "-s", "1", "-o", "b.png"})
          .code,
      0);
  EXPECT_EQ(hub_.hub().requests().size(), asked);  // what is cached needs no network
  const auto models = nlohmann::json::parse(run({"models", "--json"}).out);
  EXPECT_EQ(models.at(1).at("state"), "ready");
  EXPECT_EQ(models.at(0).at("state"), "not downloaded");
}

TEST_F(DownloadTest, WithoutTheHubWhatIsThereIsUsedOrWhatLacksIsNamed) {
  hub_.add("extra.safetensors", "not needed", true);
  ASSERT_EQ(run({"download", kBase, "--no-progress"}).code, 0);
  is_offline_ = true;
  EXPECT_EQ(run({"download", kBase}).code, 0);
  const fs::path folder =
      dir_ / "hub/models--Tongyi-MAI--Z-Image/snapshots" / std::string(FakeHub::kCommit);
  fs::remove(folder / "extra.safetensors");
  const std::vector<std::string> draw{"generate", "-m", "base", "a", "-W", "64",
                                      "-H",       "64", "-s",   "1", "-o", "c.png"};
  EXPECT_EQ(run(draw).code, 0);
  fs::remove(folder / "vae/config.json");
  const Result result = run(draw);
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("vae/config.json is missing"));
}

TEST_F(DownloadTest, LooksWhatAModelIsBeforeItIsFetched) {
  EXPECT_THAT(run({"download", kBase, "--weights-variant", "fp8"}).err,
              HasSubstr("holds no weights of the variant fp8"));
  EXPECT_NE(run({"download", kBase, "--weights-variant", "*"}).code, 0);
  hub_.add("model_index.json", R"({"_class_name": "FluxPipeline"})");
  EXPECT_THAT(run({"-m", kBase, "a cat"}).err, HasSubstr("_class_name is FluxPipeline"));
  EXPECT_TRUE(hub_.cdn().requests().empty());
}

TEST_F(DownloadTest, DryRunListsAndFetchesNothing) {
  const Result result = run({"download", kBase, "--dry-run", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto plan = nlohmann::json::parse(result.out);
  EXPECT_EQ(plan.at("commit"), FakeHub::kCommit);
  EXPECT_FALSE(plan.at("files").empty());
  EXPECT_FALSE(fs::exists(dir_ / "hub"));
}

TEST_F(DownloadTest, AControlNetworkIsOneFileOfARepository) {
  for (const char* name : {"union-1.0.safetensors", "union-2.1.safetensors"}) {
    hub_.add(name, text_of(test_data("control") / name), true);
  }
  const std::string picture = test_data("image_to_image/scene.png");
  std::vector<std::string> args{"control", "-m",    test_data("pipeline/snapshot"),
                                "-c",      picture, "--cw",
                                kBase,     "-p",    "a cat",
                                "-s",      "3",     "-o",
                                "a.png"};
  const Result open = run(args);
  EXPECT_EQ(open.code, 1);
  EXPECT_THAT(open.err, HasSubstr("holds several files, union-1.0.safetensors, union-2.1."
                                  "safetensors; --control-file names the one to use"));
  args.insert(args.end(), {"--cf", "union-3.safetensors"});
  EXPECT_THAT(run(args).err,
              HasSubstr("--control-file union-3.safetensors: " + std::string(kBase)));

  args.back() = "union-2.1.safetensors";
  const Result drawn = run(args);
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  const fs::path folder =
      dir_ / "hub/models--Tongyi-MAI--Z-Image/snapshots" / std::string(FakeHub::kCommit);
  EXPECT_TRUE(fs::exists(folder / "union-2.1.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "union-1.0.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "vae"));

  const std::size_t asked = hub_.hub().requests().size();
  EXPECT_EQ(run(args).code, 0);
  EXPECT_EQ(hub_.hub().requests().size(), asked);  // what is cached needs no network
  is_offline_ = true;
  EXPECT_EQ(run(args).code, 0);
  args.resize(args.size() - 2);  // the cache holds one of them, but knows of both
  EXPECT_THAT(run(args).err, HasSubstr("holds several files, union-1.0.safetensors"));
}

TEST_F(DownloadTest, TheOnlyControlNetworkOfARepositoryIsFoundAgainWithoutTheHub) {
  hub_.add("union.safetensors", text_of(test_data("control/union-1.0.safetensors")), true);
  hub_.add("config.json", "{\"_class_name\": \"Other\"}");  // not the network's
  const std::vector<std::string> args{"control",
                                      "-m",
                                      test_data("pipeline/snapshot"),
                                      "-c",
                                      test_data("image_to_image/scene.png"),
                                      "--cw",
                                      kBase,
                                      "-p",
                                      "a cat",
                                      "-s",
                                      "3",
                                      "-o",
                                      "a.png"};
  const Result first = run(args);
  ASSERT_EQ(first.code, 0) << first.err;
  const std::size_t asked = hub_.hub().requests().size();
  EXPECT_EQ(run(args).code, 0);
  EXPECT_EQ(hub_.hub().requests().size(), asked);
}

TEST_F(DownloadTest, AProgramKilledInTheMiddleIsGoneOnFrom) {
  hub_.add("transformer/extra.safetensors", std::string(400000, 'x'), true);
  hub_.on_cdn([](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target == "/transformer/extra.safetensors") answer.pause_ms = 20;
  });
  const pid_t pid = start({"download", kBase, "--no-progress"});
  const fs::path blobs = dir_ / "hub/models--Tongyi-MAI--Z-Image/blobs";
  const fs::path partial = blobs / (FakeHub::hash(std::string(400000, 'x'), true) + ".zimage-part");
  for (int i = 0; i < 500; ++i) {
    std::error_code error;
    if (fs::file_size(partial, error) > 50000 && !error) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(pid, SIGKILL);
  EXPECT_EQ(finish(pid).code, -SIGKILL);
  ASSERT_TRUE(fs::exists(partial));
  EXPECT_EQ(nlohmann::json::parse(run({"models", "--json"}).out).at(1).at("state"), "incomplete");

  const Result again = run({"download", kBase, "--no-progress"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr(std::string("snapshots/") + FakeHub::kCommit + "\n"));
  bool has_resumed = false;
  for (const auto& request : hub_.cdn().requests()) {
    has_resumed |=
        request.target == "/transformer/extra.safetensors" && !request.header("range").empty();
  }
  EXPECT_TRUE(has_resumed);
  EXPECT_FALSE(fs::exists(partial));
}

// Opt-in: ZIMAGE_TEST_HUB_PYTHON names a Python with huggingface_hub.
TEST_F(DownloadTest, PythonsClientReadsOurCacheAndWeReadIts) {
  const char* python = std::getenv("ZIMAGE_TEST_HUB_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "ZIMAGE_TEST_HUB_PYTHON is not set";
  ASSERT_EQ(run({"download", kBase, "--no-progress"}).code, 0);
  const std::string call =
      str("HF_HUB_OFFLINE=1 HF_HUB_CACHE=", (dir_ / "hub").string(), " ", python,
          " -c \"from huggingface_hub import snapshot_download as s; print(s('", kBase,
          "', allow_patterns=['*.json', '*.safetensors']))\" > ", (dir_ / "python").string());
  ASSERT_EQ(std::system(call.c_str()), 0);
  EXPECT_THAT(text_of(dir_ / "python"), HasSubstr(FakeHub::kCommit));

  // The other way round, as far as the client's files go: our record is taken away.
  fs::remove_all(dir_ / "hub/models--Tongyi-MAI--Z-Image/trees");
  const std::size_t asked = hub_.hub().requests().size();
  EXPECT_EQ(
      run({"generate", "-m", "base", "a", "-W", "64", "-H", "64", "-s", "1", "-o", "c.png"}).code,
      0);
  EXPECT_EQ(hub_.hub().requests().size(), asked);
}

}  // namespace
}  // namespace zimage
