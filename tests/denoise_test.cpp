#include "pipeline/denoise.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "scheduler/flow_match_euler.h"
#include "testing.h"

namespace zimage {
namespace {

std::vector<float> turbo_sigmas(int steps, ScheduleKind kind = ScheduleKind::kTerminal) {
  return make_sigmas(SchedulerConfig{}, kind, steps, 0);
}

Denoiser constant(float value) {
  return [value](const Tensor& latents, float) {
    return tensor_of(latents.shape(), std::vector<float>(latents.numel(), value));
  };
}

TEST(CountUpdates, SkipsStepsThatMoveNothing) {
  EXPECT_EQ(count_updates(turbo_sigmas(9)), 8);  // the Turbo preset: 9 steps are 8 updates
  EXPECT_EQ(count_updates(turbo_sigmas(8, ScheduleKind::kLiteral)), 8);
  EXPECT_EQ(count_updates(turbo_sigmas(1)), 1);
}

TEST(Denoise, CallsTheTransformerOncePerUpdateAtOneMinusSigma) {
  std::vector<float> times;
  int reported = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .on_step = [&](int step, int steps) {
                           EXPECT_EQ(step, ++reported);
                           EXPECT_EQ(steps, 8);
                         }};
  options.positive = [&](const Tensor& latents, float t) {
    times.push_back(t);
    return zeros(latents.shape());
  };
  denoise(from_values({1, 1, 2}, {1, 2}), options);
  ASSERT_EQ(times.size(), 8u);
  EXPECT_EQ(times.front(), 0.0f);
  EXPECT_NEAR(times[7], 0.7f, 1e-6);
  EXPECT_EQ(reported, 8);
}

TEST(Denoise, FollowsTheNegatedOutputFromSigmaOneToZero) {
  // A constant output v adds v over the whole way, whatever the schedule.
  for (const int steps : {1, 2, 9, 50}) {
    const Tensor latents = denoise(from_values({1, 1, 2}, {1, -2}),
                                   {.sigmas = turbo_sigmas(steps), .positive = constant(3)});
    EXPECT_TRUE(all_close(latents, from_values({1, 1, 2}, {4, 1}), 1e-6));
  }
}

TEST(Denoise, GuidesOnlyWhereTruncationAllowsIt) {
  int negative_calls = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .cfg = {.scale = 4, .truncation = 0.5}};
  options.positive = constant(1);
  options.negative = [&](const Tensor& latents, float t) {
    EXPECT_LE(t, 0.5f);
    ++negative_calls;
    return zeros(latents.shape());
  };
  denoise(zeros({1, 1, 2}), options);
  EXPECT_EQ(negative_calls, 7);  // sigmas 1 to 0.503; the step at 0.3 is past the truncation
}

TEST(Denoise, NamesTheStepOfTheFirstValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    DenoiseOptions options{.sigmas = turbo_sigmas(5)};
    int call = 0;
    options.positive = [&](const Tensor& latents, float) {
      Tensor out = zeros(latents.shape());
      if (++call == 3) out.data<float>()[1] = bad;
      return out;
    };
    EXPECT_THAT(error_of([&] {
                  return denoise(zeros({1, 1, 2}), options);
                }),
                testing::StartsWith("step 3 of 4 (t = 0.25): the transformer's output holds"));
  }
}

TEST(Denoise, StopsWhenTheStepCallbackThrows) {
  int calls = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .on_step = [](int step, int) {
                           if (step == 2) throw Cancelled("stop");
                         }};
  options.positive = [&](const Tensor& latents, float) {
    ++calls;
    return zeros(latents.shape());
  };
  EXPECT_THROW(denoise(zeros({1, 1, 2}), options), Cancelled);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace zimage
