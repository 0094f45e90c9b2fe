// zimage plan and --max-memory, as users run them.
#include <nlohmann/json.hpp>

#include "cli_testing.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PlanTest : public CliTest {
 protected:
  Result plan(std::vector<std::string> more) {
    std::vector<std::string> args{"plan", "-m", "model", "-W", "64", "-H", "64"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  nlohmann::json record(std::vector<std::string> more) {
    more.push_back("--json");
    const Result result = plan(std::move(more));
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  }
};

std::vector<std::string> stages_of(const nlohmann::json& record) {
  std::vector<std::string> names;
  for (const auto& stage : record.at("stages")) names.push_back(stage.at("stage"));
  return names;
}

TEST_F(PlanTest, ListsStagesWithMemoryAndTime) {
  const Result result = plan({"-p", "a cat"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* part :
       {"text encoder ", "transformer ", "vae decoder ", "peak 0.", " available; about "}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  EXPECT_EQ(files(), std::vector<std::string>{"model"});
}

TEST_F(PlanTest, AddsTheStagesThatPicturesNeed) {
  EXPECT_THAT(stages_of(record({})), ElementsAre("text encoder", "transformer", "vae decoder"));
  write_image(work_ / "in.png", {64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 90)});
  EXPECT_THAT(stages_of(record({"--image", "in.png"})),
              ElementsAre("text encoder", "vae encoder", "transformer", "vae decoder"));
  const std::string network = test_data("control/union-2.1.safetensors");
  EXPECT_THAT(stages_of(record({"--controlnet-weights", network})),
              ElementsAre("text encoder", "vae encoder", "transformer", "vae decoder"));
}

TEST_F(PlanTest, CountsTheWorkOfStepsGuidanceAndPictures) {
  const auto operations = [&](const std::vector<std::string>& more) {
    return record(more).at("stages").at(1).at("operations").get<double>();
  };
  const double two = operations({"-p", "a cat", "-s", "3"});
  EXPECT_NEAR(operations({"-p", "a cat", "-s", "5"}) / two, 2, 0.2);  // 4 updates, captions once
  EXPECT_NEAR(operations({"-p", "a cat", "-s", "3", "-g", "2"}) / two, 2, 1e-9);
  EXPECT_NEAR(operations({"-p", "a cat", "-s", "3", "-n", "3"}) / two, 3, 1e-9);
}

TEST_F(PlanTest, CountsTheWorkOfAdapters) {
  const std::string name = "transformer.layers.0.attention.to_q.lora_";
  save_safetensors(dir_ / "a.safetensors",
                   {{name + "A.weight", random_normal({8, 64}, Dtype::kF32, 1)},
                    {name + "B.weight", random_normal({64, 8}, Dtype::kF32, 2)}});
  const auto operations = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-p", "a cat", "-s", "3"});
    return record(more).at("stages").at(1).at("operations").get<double>();
  };
  const std::string file = (dir_ / "a.safetensors").string();
  const double plain = operations({}), with = operations({"--lora", file});
  const double rows = 32 + 32;  // 64x64 pixels are 16 tokens; they are padded, and so is the prompt
  EXPECT_NEAR(with - plain, 2 * rows * 2 * 8 * (64 + 64), 1);
  EXPECT_NEAR(operations({"--lora", file, "--lora-merge"}) - plain, 2 * 8 * 64 * 64, 1);
  EXPECT_EQ(operations({"--lora", file + "@0"}), plain);
}

TEST_F(PlanTest, SumsUpItsStages) {
  const auto json = record({"-p", "a cat", "--max-memory", "2GiB"});
  EXPECT_EQ(json.at("limit_bytes"), std::uint64_t{2} << 30);
  double seconds = 0;
  std::uint64_t peak = 0;
  for (const auto& stage : json.at("stages")) {
    seconds += stage.at("seconds").get<double>();
    peak = std::max(peak, stage.at("peak_bytes").get<std::uint64_t>());
    EXPECT_GT(stage.at("peak_bytes"), stage.at("weight_bytes"));
    EXPECT_GE(stage.at("seconds"), stage.at("read_seconds"));
  }
  EXPECT_NEAR(json.at("seconds"), seconds, 1e-9);
  EXPECT_EQ(json.at("peak_bytes"), peak);
}

TEST_F(PlanTest, RefusesALimitThatIsTooSmallBeforeTheWork) {
  for (const char* command : {"plan", "generate"}) {
    expect_error(run({command, "-m", "model", "-p", "a cat", "-W", "512", "-H", "512",
                      "--max-memory", "40M"}),
                 1, "needs at least ");
  }
  EXPECT_THAT(plan({"--max-memory", "1M"}).err, HasSubstr("0.00 GiB are allowed (--max-memory)"));
}

TEST_F(PlanTest, ReadsSizesWithTheirUnits) {
  const auto limit = [&](const char* text) {
    return record({"--max-memory", text}).at("limit_bytes").get<std::uint64_t>();
  };
  EXPECT_EQ(limit("1G"), std::uint64_t{1} << 30);
  EXPECT_EQ(limit("1GiB"), std::uint64_t{1} << 30);
  EXPECT_EQ(limit("1gb"), 1'000'000'000u);
  EXPECT_EQ(limit("0.5 GiB"), std::uint64_t{1} << 29);
  EXPECT_EQ(limit("1500M"), std::uint64_t{1500} << 20);
  for (const char* text : {"8", "G", "-1G", "0G", "1X", "1GiBs", "1e30G", "nan"}) {
    expect_error(plan({"--max-memory", text}), 2, "expected a number above 0 with a unit");
  }
}

TEST_F(PlanTest, DrawsTheSamePictureWithAnyLimit) {
  ASSERT_EQ(draw({"-p", "a cat", "--seed", "5", "-o", "a.png"}).code, 0);
  ASSERT_EQ(draw({"-p", "a cat", "--seed", "5", "-o", "b.png", "--max-memory", "1G"}).code, 0);
  EXPECT_EQ(text_of(work_ / "a.png"), text_of(work_ / "b.png"));
}

}  // namespace
}  // namespace zimage
