#include "pipeline/cfg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "scheduler/flow_match_euler.h"
#include "seeded_weights.h"
#include "testing.h"

namespace zimage {
namespace {

constexpr CfgOptions kNormalized{.normalization = true};

std::vector<float> apply(std::initializer_list<float> pos, std::initializer_list<float> neg,
                         float scale, const CfgOptions& options = {}) {
  const Shape shape{static_cast<std::int64_t>(pos.size())};
  return values_of(apply_cfg(from_values(shape, pos), from_values(shape, neg), scale, options));
}

TEST(CfgScaleAt, CountsAsZeroBeyondTheTruncation) {
  EXPECT_EQ(cfg_scale_at({.scale = 4, .truncation = 0.5}, 0.4f), 4);
  EXPECT_EQ(cfg_scale_at({.scale = 4, .truncation = 0.5}, 0.5f), 4);
  EXPECT_EQ(cfg_scale_at({.scale = 4, .truncation = 0.5}, 0.6f), 0);
  EXPECT_EQ(cfg_scale_at({.scale = 4, .truncation = 0}, 0.0f), 4);
}

TEST(CfgScaleAt, KnowsNoTruncationFromOneOn) {
  EXPECT_EQ(cfg_scale_at({.scale = 4, .truncation = 1.2}, 0.9f), 4);
  EXPECT_EQ(cfg_scale_at({.scale = 4}, 1.0f), 4);
}

TEST(CfgScaleAt, IsZeroWithoutGuidance) {
  EXPECT_EQ(cfg_scale_at({.scale = 0}, 0.1f), 0);
  EXPECT_EQ(cfg_scale_at({.scale = -2}, 0.1f), 0);
  EXPECT_EQ(cfg_scale_at({.scale = std::numeric_limits<float>::quiet_NaN()}, 0.1f), 0);
}

TEST(ApplyCfg, ExtrapolatesFromNegativeToPositive) {
  EXPECT_EQ(apply({2, 0}, {1, 0}, 2), (std::vector<float>{4, 0}));
}

TEST(ApplyCfg, LimitsTheNormToThatOfThePositive) {
  EXPECT_EQ(apply({3, 4}, {0, 0}, 1, kNormalized), (std::vector<float>{3, 4}));
  const CfgOptions twice{.normalization = true, .normalization_factor = 1.5f};
  EXPECT_EQ(apply({3, 4}, {0, 0}, 1, twice), (std::vector<float>{4.5f, 6}));
}

TEST(ApplyCfg, LeavesANormWithinTheLimitAlone) {
  EXPECT_EQ(apply({4, 0}, {8, 0}, 0.5f, kNormalized), (std::vector<float>{2, 0}));
  EXPECT_EQ(apply({3, 4}, {3, 4}, 7, kNormalized), (std::vector<float>{3, 4}));  // equal norms
}

TEST(ApplyCfg, FactorZeroTurnsNormalizationOff) {
  const CfgOptions off{.normalization = true, .normalization_factor = 0};
  EXPECT_EQ(apply({3, 4}, {0, 0}, 1, off), (std::vector<float>{6, 8}));
}

TEST(ApplyCfg, NormsNeitherOverflowNorVanish) {
  EXPECT_EQ(apply({3e30f, 4e30f}, {0, 0}, 1, kNormalized), (std::vector<float>{3e30f, 4e30f}));
  EXPECT_EQ(apply({3e-30f, 4e-30f}, {0, 0}, 1, kNormalized), (std::vector<float>{3e-30f, 4e-30f}));
  EXPECT_EQ(apply({0, 0}, {0, 0}, 3, kNormalized), (std::vector<float>{0, 0}));
  EXPECT_EQ(apply({0, 0}, {1, 2}, 3, kNormalized), (std::vector<float>{0, 0}));  // limit 0
}

TEST(ApplyCfg, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { return apply_cfg(zeros({2}), zeros({3}), 1, {}); }),
            "apply_cfg: negative prediction [3] does not fit the positive [2]");
  EXPECT_EQ(error_of([] { return apply_cfg(zeros({2}), zeros({2}, Dtype::kBf16), 1, {}); }),
            "apply_cfg: predictions F32 and BF16, expected F32");
}

// Steps without guidance included: there the pipeline of diffusers returns the positive prediction.
TEST(ApplyCfg, EqualsThePipelineOfDiffusersInEveryStep) {
  const auto golden = SafetensorsFile::open(test_data("cfg/golden.safetensors"));
  const auto sigmas = make_sigmas({}, ScheduleKind::kTerminal, 9, 0);
  const Shape shape{4, 1, 6, 10};
  for (const Json& c : Json::parse_file(test_data("cfg/cases.json")).objects("cases")) {
    const CfgOptions options{.scale = c.get<float>("scale"),
                             .truncation = c.get<double>("truncation"),
                             .normalization = c.get<float>("factor") > 0,
                             .normalization_factor = c.get<float>("factor")};
    const auto name = c.get<std::string>("name");
    for (int step = 0; step < 9; ++step) {
      SCOPED_TRACE(str(name, ", step ", step));
      const Tensor pos = seeded_uniform(str("pos", step), shape, 0, 2);
      const Tensor neg = seeded_uniform(str("neg", step), shape, 0, 2);
      const float scale = cfg_scale_at(options, (1000 - 1000 * sigmas[step]) / 1000);
      const Tensor actual = scale > 0 ? apply_cfg(pos, neg, scale, options) : pos;
      const Tensor expected = golden.tensors().at(name).slice(step, step + 1).reshape(shape);
      // torch sums squares in f32; without normalization every bit is the same.
      EXPECT_TRUE(all_close(actual, expected, options.normalization ? 1e-6 : 0));
    }
  }
}

}  // namespace
}  // namespace zimage
