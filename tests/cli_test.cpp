// The program as its users run it: arguments in; exit code, stdout, stderr and files out.
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli_testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(CliTest, DrawsThePictureAndPrintsOnlyItsPath) {
  const Result result = draw({"-p", "a cat", "--seed", "1", "-o", "out.png"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "out.png\n");
  EXPECT_THAT(result.err, HasSubstr("step 8/8"));
  const DecodedImage picture = read_image(work_ / "out.png");
  EXPECT_EQ(picture.image.width, 64);
  EXPECT_THAT(picture.metadata.parameters, StartsWith("a cat\nSteps: 9, "));
  EXPECT_THAT(picture.metadata.parameters, HasSubstr("Seed: 1"));
  EXPECT_EQ(nlohmann::json::parse(picture.metadata.zimage_json).at("seed"), 1);
}

TEST_F(CliTest, DrawsDiffusersPictureInF32) {
  const Result result = run({"-m", "model", "a red circle", "--width", "96", "--height=64",
                             "--seed", "42", "--dtype", "f32", "-o", "out.png", "--no-progress"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const Image ours = read_image(work_ / "out.png").image;
  const Image theirs = read_image(test_data("pipeline/turbo-0.png")).image;
  std::size_t within = 0;
  ASSERT_EQ(ours.pixels.size(), theirs.pixels.size());
  for (std::size_t i = 0; i < ours.pixels.size(); ++i) {
    within += std::abs(int{ours.pixels[i]} - int{theirs.pixels[i]}) <= 1 ? 1 : 0;
  }
  EXPECT_GE(static_cast<double>(within), 0.99 * static_cast<double>(ours.pixels.size()));
}

TEST_F(CliTest, SaysWhereTheTimeWent) {
  const Result result = draw({"-p", "a cat", "-s", "2", "--profile", "--json", "-o", "out.png"});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* word : {"peaks: f32", "text encoder", "transformer", "vae decoder", "  linear ",
                           "  no operation", "outside the stages", "GFLOP/s"}) {
    EXPECT_THAT(result.err, HasSubstr(word));
  }
  const auto profile = nlohmann::json::parse(result.out).at("profile");
  EXPECT_EQ(profile.at("stages").back().at("name"), "vae decoder");
  EXPECT_GT(profile.at("stages").back().at("flop"), 0);
  EXPECT_FALSE(
      nlohmann::json::parse(draw({"-p", "a cat", "-s", "2", "--json"}).out).contains("profile"));
}

TEST_F(CliTest, QuantisesByTheEndingOfTheOutput) {
  const Result folder = run({"quantize", "-i", "model", "-o", "mlx", "--verbose", "--no-progress"});
  EXPECT_EQ(folder.code, 0) << folder.err;
  EXPECT_EQ(folder.out, "mlx\n");
  EXPECT_THAT(folder.err, HasSubstr("layers.0.attention.to_q.weight: quantised\n"));
  EXPECT_THAT(folder.err, HasSubstr("layers.0.attention_norm1.weight: kept\n"));
  EXPECT_TRUE(std::filesystem::exists(work_ / "mlx/quantization.json"));
  const Result file = run({"quantize", "-m", "model", "-o", "int8.safetensors", "--no-progress"});
  EXPECT_EQ(file.code, 0) << file.err;
  EXPECT_TRUE(std::filesystem::is_regular_file(work_ / "int8.safetensors"));
  EXPECT_EQ(run({"generate", "-m", "mlx", "a cat", "-W", "64", "-H", "64", "-s", "2"}).code, 0);

  const auto refusal = [&](std::vector<std::string> args) {
    args.insert(args.begin(), "quantize");
    const Result result = run(args);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    return std::to_string(result.code) + " " + result.err;
  };
  EXPECT_THAT(refusal({"-i", "model", "-o", "mlx"}), StartsWith("1 error: "));
  EXPECT_THAT(refusal({"-i", "model", "-m", "model", "-o", "x"}), StartsWith("2 error: --input"));
  EXPECT_THAT(refusal({"-i", "nowhere", "-o", "x"}), HasSubstr("--input nowhere: no such folder"));
  EXPECT_THAT(refusal({"-i", "model", "-o", "x", "--bits", "5"}), StartsWith("2 error: --bits 5"));
  EXPECT_THAT(refusal({"-i", "model", "-o", "x", "--keep", "w2"}), StartsWith("2 error: --keep"));
  EXPECT_THAT(refusal({"-i", "model", "-o", "x.safetensors", "--bits", "4"}),
              StartsWith("2 error: --bits: is for --format mlx"));
  EXPECT_THAT(refusal({"-i", "model", "-o", "x", "--mode", "nf4"}), StartsWith("2 error: "));
  EXPECT_FALSE(std::filesystem::exists(work_ / "x"));
}

TEST_F(CliTest, QuantisesAControlNetwork) {
  const std::string control = test_data("control/union-2.1.safetensors");
  const Result result = run({"quantize-controlnet", "-i", control, "-o", "net", "--bits", "4"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "net\n");
  const std::string picture = test_data("image_to_image/scene.png");
  const Result drawn = run({"control", "-m", "model", "--cw", "net", "-c", picture, "-p", "a cat",
                            "-W", "64", "-H", "64", "-s", "2"});
  EXPECT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_EQ(run({"quantize-controlnet", "-i", control, "-o", "net"}).code, 1);
  EXPECT_EQ(run({"quantize-controlnet", "-o", "other"}).code, 2);
}

TEST_F(CliTest, SameSeedGivesTheSameFile) {
  ASSERT_EQ(draw({"-p", "a cat", "--seed", "5", "-o", "a.png", "-t", "1"}).code, 0);
  ASSERT_EQ(draw({"-p", "a cat", "--seed", "5", "-o", "b.png", "-t", "2"}).code, 0);
  EXPECT_EQ(text_of(work_ / "a.png"), text_of(work_ / "b.png"));
}

TEST_F(CliTest, WritesEveryFormatAndCreatesFolders) {
  for (const std::string name : {"new/folder/a.jpg", "b.webp", "c.PNG", "d"}) {
    const Result result = draw({"-p", "a cat", "-s", "1", "-o", name});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, (name == "d" ? "d.png" : name) + "\n");
    EXPECT_EQ(read_image(work_ / (name == "d" ? "d.png" : name)).image.width, 64);
  }
}

TEST_F(CliTest, NumbersSeveralPicturesAndTakesFreeNamesInFolders) {
  EXPECT_EQ(draw({"-p", "a", "-s", "1", "-n", "2", "-o", "x.png"}).out, "x-1.png\nx-2.png\n");
  EXPECT_EQ(draw({"-p", "a", "-s", "1"}).out, "zimage.png\n");
  EXPECT_EQ(draw({"-p", "a", "-s", "1"}).out, "zimage-2.png\n");
  EXPECT_EQ(draw({"-p", "a", "-s", "1", "-o", "folder/"}).out, "folder/zimage.png\n");
}

TEST_F(CliTest, LeavesMetadataOutWhenAsked) {
  ASSERT_EQ(draw({"-p", "secret words", "-s", "1", "-o", "a.png", "--no-metadata"}).code, 0);
  EXPECT_EQ(read_image(work_ / "a.png").metadata.parameters, "");
  EXPECT_THAT(text_of(work_ / "a.png"), testing::Not(HasSubstr("secret")));
}

TEST_F(CliTest, PrintsOneJsonRecord) {
  const Result result =
      draw({"-p", "一只猫", "-s", "1", "-n", "2", "--seed", "7", "--json", "-o", "a.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("prompt"), "一只猫");
  EXPECT_EQ(record.at("dtype"), "bf16");
  EXPECT_EQ(record.at("images")[1].at("seed"), 8);
  EXPECT_EQ(record.at("images")[1].at("path"), "a-2.png");
}

TEST_F(CliTest, SaysWhichUpdatesTheStepCacheComputed) {
  const Result result = draw({"-p", "a cat", "-s", "5", "-g", "2", "--seed", "1", "-n", "2",
                              "--step-cache-mask", "1101", "--json", "-o", "out.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("step cache: 3 of 4 updates computed, 1 reused: 1101"));
  const auto record = nlohmann::json::parse(result.out);
  EXPECT_EQ(record.at("step_cache"), "mask");
  EXPECT_EQ(record.at("images")[1].at("computed_updates"), "1101");
  const ImageMetadata metadata = read_image(work_ / "out-1.png").metadata;
  EXPECT_THAT(metadata.parameters, HasSubstr("Step cache: mask, Computed updates: 1101, "));
  EXPECT_EQ(nlohmann::json::parse(metadata.zimage_json).at("computed_updates"), "1101");
  ASSERT_EQ(draw({"-p", "a cat", "-s", "5", "-g", "2", "--seed", "1", "-o", "plain.png"}).code, 0);
  EXPECT_NE(read_image(work_ / "plain.png").image.pixels,
            read_image(work_ / "out-1.png").image.pixels);
  EXPECT_THAT(read_image(work_ / "plain.png").metadata.parameters,
              testing::Not(HasSubstr("updates")));
}

TEST_F(CliTest, WarnsThatEasyCacheHasLittleToReuseInFewUpdates) {
  const Result result =
      draw({"-p", "a cat", "--step-cache", "easycache", "--seed", "1", "-o", "out.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: --step-cache easycache: of 8 updates"));
  EXPECT_THAT(read_image(work_ / "out.png").metadata.parameters,
              HasSubstr("Step cache: easycache 0.05 from 0.15 to 0.95, Computed updates: 1"));
}

TEST_F(CliTest, WarnsThatANegativePromptCannotAct) {
  EXPECT_THAT(draw({"-p", "a", "--np", "b", "-s", "1", "-o", "a.png"}).err,
              HasSubstr("warning: the negative prompt has no effect at guidance 0"));
}

TEST_F(CliTest, RefusesWrongUsageWithTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{}, "no prompt"},
      {{"a", "-p", "b"}, "expected one of them"},
      {{"-p", "a", "--no-such-flag"}, "--no-such-flag"},
      {{"-p", "a", "--seed"}, "--seed"},
      {{"-p", "a", "--seed", "-1"}, "--seed -1"},
      {{"-p", "a", "--seed", "18446744073709551616"}, "--seed 18446744073709551616"},
      {{"-p", "a", "--steps", "1e3"}, "--steps 1e3: expected a whole number"},
      {{"-p", "a", "--steps", "0"}, "--steps 0"},
      {{"-p", "a", "--guidance", "nan"}, "--guidance nan"},
      {{"-p", "a", "--guidance", "-0.5"}, "--guidance -0.5"},
      {{"-p", "a", "--cfg-truncation", "2"}, "--cfg-truncation 2"},
      {{"-p", "a", "--step-cache", "on"}, "--step-cache on: expected off, mask or easycache"},
      {{"-p", "a", "--step-cache", "mask"}, "--step-cache mask: expected --step-cache-mask"},
      {{"-p", "a", "--step-cache-mask", "0111"}, "--step-cache-mask 0111: expected 1 first"},
      {{"-p", "a", "--step-cache-mask", "1101"}, "--step-cache-mask 1101: 4 digits, expected 8"},
      {{"-p", "a", "--step-cache-mask", "1", "--step-cache", "off"},
       "--step-cache-mask: expected --step-cache mask with it"},
      {{"-p", "a", "--step-cache-mask", "1", "--step-cache-threshold", "1"},
       "--step-cache-threshold: expected --step-cache easycache with it"},
      {{"-p", "a", "--step-cache-threshold", "0"}, "--step-cache-threshold 0: expected"},
      {{"-p", "a", "--step-cache-threshold", "inf"}, "--step-cache-threshold inf"},
      {{"-p", "a", "--step-cache-start", "0.95"}, "--step-cache-start 0.95: expected less than"},
      {{"-p", "a", "-W", "65"}, "--width 65: expected a multiple of 16"},
      {{"-p", "a", "-W", "48"}, "--width 48"},
      {{"-p", "a", "-H", "1040"}, "--height 1040"},  // the model's rope table ends at 1024
      {{"-p", "a", "--dtype", "f16"}, "--dtype"},
      {{"-p", "a", "-t", "0"}, "--threads"},
      {{"-p", "a", "--schedule", "karras"}, "--schedule karras: expected terminal or literal"},
      {{"-p", "a", "--rng", "cpu"}, "--rng cpu"},
      {{"-p", "a", "-n", "0"}, "--num-images 0"},
      {{"-p", "a", "-o", "a.gif"}, ".gif"},
  };
  for (const auto& [args, message] : wrong) {
    SCOPED_TRACE(testing::PrintToString(args));
    expect_error(draw(args), 2, message);
  }
}

TEST_F(CliTest, FailsWithOneOnWhatIsNotThere) {
  expect_error(draw({"-p", "a"}, "./nowhere"), 1, "model ./nowhere: no such file or folder");
  expect_error(draw({"-p", "a"}, "nowhere"), 1, "model nowhere is not known: expected turbo, ");
  expect_error(draw({"-p", "bad \xff text"}), 1, "UTF-8");
}

TEST_F(CliTest, ChecksTheOutputBeforeTheWork) {
  const Result result = draw({"-p", "a", "-o", "model/tokenizer/tokenizer.json/x.png"});
  expect_error(result, 1, "x.png");
  EXPECT_THAT(result.err, testing::Not(HasSubstr("encoding")));
}

TEST_F(CliTest, KeepsTheOldFileWhenTheDiskIsFull) {
  ASSERT_EQ(draw({"-p", "a", "-s", "1", "-o", "a.png"}).code, 0);
  const std::string before = text_of(work_ / "a.png");
  // A file size limit stands in for the full disk: the write fails in the same place.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{2000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  signal(SIGXFSZ, SIG_IGN);
  const pid_t pid = start({"generate", "-m", "model", "-p", "b", "-W", "64", "-H", "64", "-s", "1",
                           "-o", "a.png", "--no-progress"});
  setrlimit(RLIMIT_FSIZE, &old);
  const Result result = finish(pid);
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("a.png"));
  EXPECT_EQ(text_of(work_ / "a.png"), before);
  EXPECT_EQ(files(), (std::vector<std::string>{"a.png", "model"}));
}

TEST_F(CliTest, LeavesNothingWhenInterrupted) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t pid = start({"generate", "-m", "model", "-p", "a", "-W", "1024", "-H", "1024", "-s",
                             "900", "-o", "a.png"});
    for (int i = 0; i < 600 && text_of(dir_ / "stderr").find("step 1/") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    kill(pid, signal);
    const Result result = finish(pid);
    EXPECT_EQ(result.code, 130);
    EXPECT_THAT(result.err, HasSubstr("interrupted\n"));
    EXPECT_EQ(files(), std::vector<std::string>{"model"});
  }
}

TEST_F(CliTest, ExplainsItself) {
  const Result help = run({"generate", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const std::string flag :
       {"--prompt", "--negative-prompt", "--width", "--steps", "--guidance", "--seed", "--schedule",
        "--rng", "--dtype", "--output", "--json", "--no-metadata"}) {
    EXPECT_THAT(help.out, HasSubstr(flag));
  }
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_THAT(run({"--version"}).out, StartsWith("zimage "));
  EXPECT_EQ(run({}).code, 2);
}

}  // namespace
}  // namespace zimage
