#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "io/safetensors.h"
#include "scheduler/flow_match_euler.h"
#include "seeded_weights.h"
#include "testing.h"

namespace zimage {
namespace {

SchedulerConfig config_of(const std::string& text) {
  return SchedulerConfig::from_json(Json::parse(text, "scheduler_config.json"));
}

std::vector<float> terminal(const SchedulerConfig& config, int steps) {
  return make_sigmas(config, ScheduleKind::kTerminal, steps, 4096);
}
std::vector<float> literal(const SchedulerConfig& config, int steps) {
  return make_sigmas(config, ScheduleKind::kLiteral, steps, 4096);
}

void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 6e-7) << i;
}

TEST(MakeSigmas, EqualsDiffusersBitForBit) {
  const auto golden = SafetensorsFile::open(test_data("scheduler/golden.safetensors"));
  for (const Json& test_case :
       Json::parse_file(test_data("scheduler/cases.json")).objects("cases")) {
    const auto name = test_case.get<std::string>("name");
    const auto kind = test_case.get<std::string>("kind") == "terminal" ? ScheduleKind::kTerminal
                                                                       : ScheduleKind::kLiteral;
    EXPECT_EQ(make_sigmas(SchedulerConfig::from_json(test_case.object("config")), kind,
                          test_case.get<int>("steps"), test_case.get<int>("image_seq_len")),
              values_of(golden.tensors().at(name)))
        << name;
  }
}

// With shift 3, x = k / 8 becomes 3x / (1 + 2x); published for Z-Image-Turbo.
TEST(MakeSigmas, HasThePublishedValues) {
  const SchedulerConfig turbo{.shift = 3};
  expect_near(terminal(turbo, 9), {1, .954545455, .9, .833333333, .75, .642857143, .5, .3, 0, 0});
  expect_near(literal(turbo, 8), {1, .954545455, .9, .833333333, .75, .642857143, .5, .3, 0});
  expect_near(literal(turbo, 9), {1, .96, .913043478, .857142857, .789473684, .705882353, .6,
                                  .461538462, .272727273, 0});
}

TEST(MakeSigmas, EndsAtZeroAndTheTerminalOneMakesAnEmptyLastStep) {
  for (const int steps : {2, 9, 28, 50, 100}) {
    const auto sigmas = terminal({}, steps);
    ASSERT_EQ(sigmas.size(), static_cast<std::size_t>(steps) + 1);
    EXPECT_EQ(sigmas[steps], 0.0f);
    EXPECT_EQ(sigmas[steps] - sigmas[steps - 1], 0.0f);
    EXPECT_NE(sigmas[steps - 1] - sigmas[steps - 2], 0.0f);

    const auto all_used = literal({}, steps);
    ASSERT_EQ(all_used.size(), static_cast<std::size_t>(steps) + 1);
    EXPECT_EQ(all_used[steps], 0.0f);
    EXPECT_GT(all_used[steps - 1], 0.0f);
  }
}

TEST(MakeSigmas, NineStepsOfTurboAreEightUpdates) {
  const auto sigmas = terminal({.shift = 3}, 9);
  int updates = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) updates += sigmas[i + 1] != sigmas[i] ? 1 : 0;
  EXPECT_EQ(updates, 8);
}

TEST(MakeSigmas, OneStepGoesFromOneToZeroInBothSchedules) {
  EXPECT_EQ(terminal({}, 1), (std::vector<float>{1, 0}));
  EXPECT_EQ(literal({}, 1), (std::vector<float>{1, 0}));
}

TEST(MakeSigmas, TerminalWithNStepsIsLiteralWithOneLess) {
  for (const double shift : {1.0, 3.0, 6.0, 3.1}) {
    for (const int steps : {2, 3, 9, 50, 100, 1000}) {
      auto longer = terminal({.shift = shift}, steps);
      const auto shorter = literal({.shift = shift}, steps - 1);
      longer.pop_back();
      ASSERT_EQ(longer.size(), shorter.size());
      // f64 against f32: x is rounded, then a product, a sum and a quotient; near x = 0 each passes
      // on in full.
      for (std::size_t i = 0; i < longer.size(); ++i) {
        EXPECT_NEAR(longer[i], shorter[i], 3 * 6e-8 * longer[i]) << "shift " << shift << ", " << i;
      }
    }
  }
}

TEST(MakeSigmas, FallsMonotonously) {
  for (const double shift : {0.01, 0.5, 1.0, 3.0, 1000.0}) {
    for (const bool dynamic : {false, true}) {
      const SchedulerConfig config{.shift = shift, .use_dynamic_shifting = dynamic};
      for (const int steps : {1, 2, 9, 100, 10000}) {
        for (const auto& sigmas : {terminal(config, steps), literal(config, steps)}) {
          EXPECT_TRUE(std::is_sorted(sigmas.rbegin(), sigmas.rend()));
          // diffusers starts where f32 takes it: 1 + (shift - 1) loses 6e-8 of shift, and the slope
          // at 1 is 1 / shift.
          EXPECT_NEAR(sigmas.front(), 1, 6e-8 * (1 + 1 / (shift * shift)));
          EXPECT_EQ(sigmas.back(), 0);
        }
      }
    }
  }
}

TEST(MakeSigmas, DynamicShiftGrowsWithThePicture) {
  const SchedulerConfig config{.use_dynamic_shifting = true};
  const auto small = make_sigmas(config, ScheduleKind::kTerminal, 9, 256);
  const auto large = make_sigmas(config, ScheduleKind::kTerminal, 9, 4096);
  EXPECT_NEAR(small[4], std::exp(0.5) / (std::exp(0.5) + 1), 1e-7);  // x = 1/2
  EXPECT_NEAR(large[4], std::exp(1.15) / (std::exp(1.15) + 1), 1e-7);
}

TEST(MakeSigmas, RefusesStepsOutOfRangeAndOverflow) {
  EXPECT_EQ(error_of([] { return terminal({}, 0); }), "make_sigmas: 0 steps, expected 1 to 10000");
  EXPECT_EQ(error_of([] { return literal({}, 2147483647); }),
            "make_sigmas: 2147483647 steps, expected 1 to 10000");
  const auto call = [] {
    return make_sigmas({.use_dynamic_shifting = true}, ScheduleKind::kTerminal, 4, 2000000000);
  };
  EXPECT_EQ(error_of(call).substr(0, 49), "make_sigmas: no finite sigmas for shift 3, dynami");
}

TEST(SchedulerConfig, ReadsEveryKeyAndHasTheDefaultsOfDiffusers) {
  const auto config = config_of(R"({"_class_name": "FlowMatchEulerDiscreteScheduler",
      "num_train_timesteps": 1000, "shift": 6.0, "use_dynamic_shifting": true, "base_shift": 0.25,
      "max_shift": 2, "base_image_seq_len": 64, "max_image_seq_len": 1024, "shift_terminal": null,
      "time_shift_type": "exponential", "use_karras_sigmas": false, "unknown": [1]})");
  EXPECT_EQ(config.num_train_timesteps, 1000);
  EXPECT_EQ(config.shift, 6.0);
  EXPECT_TRUE(config.use_dynamic_shifting);
  EXPECT_EQ(config.base_shift, 0.25);
  EXPECT_EQ(config.max_shift, 2.0);
  EXPECT_EQ(config.base_image_seq_len, 64);
  EXPECT_EQ(config.max_image_seq_len, 1024);
  const auto defaults = config_of("{}");
  EXPECT_EQ(defaults.shift, 1.0);
  EXPECT_FALSE(defaults.use_dynamic_shifting);
  EXPECT_EQ(defaults.base_shift, 0.5);
  EXPECT_EQ(defaults.max_shift, 1.15);
}

TEST(SchedulerConfig, RefusesWhatIsOutOfRange) {
  const auto error = [](const std::string& text) {
    return error_of([&] { return config_of("{" + text + "}"); });
  };
  const std::string where = "scheduler_config.json: ";
  EXPECT_EQ(error(R"("shift": 0)"), where + "shift is 0, expected 0.01 to 1000");
  EXPECT_EQ(error(R"("shift": -3)"), where + "shift is -3, expected 0.01 to 1000");
  EXPECT_EQ(error(R"("shift": 1e308)"), where + "shift is 1e+308, expected 0.01 to 1000");
  EXPECT_NE(error(R"("shift": NaN)"), "");
  EXPECT_NE(error(R"("shift": "3")"), "");
  EXPECT_EQ(error(R"("max_shift": 1e9)"), where + "max_shift is 1e+09, expected -20 to 20");
  for (const char* value : {"0", "-1000", "500"}) {
    EXPECT_EQ(error(str(R"("num_train_timesteps": )", value)),
              str(where, "num_train_timesteps is ", value, ", expected 1000"));
  }
  EXPECT_EQ(error(R"("base_image_seq_len": 4096)"),
            where +
                "base_image_seq_len 4096 and max_image_seq_len 4096 are not in ascending order "
                "above 0");
}

TEST(SchedulerConfig, RefusesByNameWhatItDoesNotDo) {
  const auto error = [](const std::string& text) {
    return error_of([&] { return config_of("{" + text + "}"); });
  };
  const std::string where = "scheduler_config.json: ";
  EXPECT_EQ(error(R"("_class_name": "DDIMScheduler")"),
            where + "_class_name is DDIMScheduler, expected FlowMatchEulerDiscreteScheduler");
  for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                          "invert_sigmas", "stochastic_sampling"}) {
    EXPECT_EQ(error(str('"', key, R"(": true)")),
              str(where, key, " is true, which is not supported"));
    EXPECT_EQ(error(str('"', key, R"(": false)")), "");
  }
  EXPECT_EQ(error(R"("shift_terminal": 0.1)"), where + "shift_terminal is 0.1, expected null");
  EXPECT_EQ(error(R"("time_shift_type": "linear")"),
            where + "time_shift_type is linear, expected exponential");
}

TEST(EulerStep, EqualsDiffusersBitForBit) {
  const auto golden = SafetensorsFile::open(test_data("scheduler/golden.safetensors"));
  const Shape shape{3, 5, 7};
  const auto sigmas = terminal({.shift = 3}, 9);
  Tensor latents = seeded_uniform("latents", shape, 0, 4);
  for (int i = 0; i < 9; ++i) {
    const Tensor velocity = seeded_uniform(str("velocity", i), shape, 0, 4);
    latents = euler_step(latents, velocity, sigmas[i], sigmas[i + 1]);
  }
  EXPECT_EQ(values_of(latents), values_of(golden.tensors().at("euler")));
}

TEST(EulerStep, LeavesItsInputsAndRefusesWhatDoesNotFit) {
  const Tensor latents = from_values({2}, {1, 2});
  const Tensor velocity = from_values({2}, {4, -4});
  EXPECT_EQ(values_of(euler_step(latents, velocity, 1, 0.5f)), (std::vector<float>{-1, 4}));
  EXPECT_EQ(values_of(latents), (std::vector<float>{1, 2}));
  EXPECT_EQ(error_of([&] { return euler_step(latents, zeros({3}), 1, 0); }),
            "euler_step: velocity [3] does not fit latents [2]");
  EXPECT_EQ(error_of([&] { return euler_step(latents, zeros({2}, Dtype::kBf16), 1, 0); }),
            "euler_step: latents F32 and velocity BF16, expected F32");
}

}  // namespace
}  // namespace zimage
