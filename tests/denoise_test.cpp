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

// The same for every branch.
Denoiser from(const std::function<Tensor(const Tensor& latents, float t)>& output) {
  return [output](const Tensor& latents, float t, std::span<const Branch> branches) {
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < branches.size(); ++i) outputs.push_back(output(latents, t));
    return outputs;
  };
}

Denoiser constant(float value) {
  return from([value](const Tensor& latents, float) {
    return tensor_of(latents.shape(), std::vector<float>(latents.numel(), value));
  });
}

TEST(CountUpdates, SkipsStepsThatMoveNothing) {
  EXPECT_EQ(count_updates(turbo_sigmas(9)), 8);  // the Turbo preset: 9 steps are 8 updates
  EXPECT_EQ(count_updates(turbo_sigmas(8, ScheduleKind::kLiteral)), 8);
  EXPECT_EQ(count_updates(turbo_sigmas(1)), 1);
}

TEST(Denoise, CallsTheTransformerOncePerUpdateAtOneMinusSigma) {
  std::vector<float> times;
  int reported = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .on_update = [&](const Update& update) {
                           EXPECT_EQ(update.step, ++reported);
                           EXPECT_EQ(update.steps, 8);
                           EXPECT_FALSE(update.is_reused);
                         }};
  options.denoiser = from([&](const Tensor& latents, float t) {
    times.push_back(t);
    return zeros(latents.shape());
  });
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
                                   {.sigmas = turbo_sigmas(steps), .denoiser = constant(3)});
    EXPECT_TRUE(all_close(latents, from_values({1, 1, 2}, {4, 1}), 1e-6));
  }
}

TEST(Denoise, GuidesOnlyWhereTruncationAllowsIt) {
  int guided_calls = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .cfg = {.scale = 4, .truncation = 0.5}};
  options.denoiser = [&](const Tensor& latents, float t, std::span<const Branch> branches) {
    EXPECT_EQ(branches.size(), t <= 0.5f ? 2 : 1);
    EXPECT_EQ(branches.front(), Branch::kPositive);
    guided_calls += branches.size() == 2 ? 1 : 0;
    return std::vector<Tensor>(branches.size(), zeros(latents.shape()));
  };
  denoise(zeros({1, 1, 2}), options);
  EXPECT_EQ(guided_calls, 7);  // sigmas 1 to 0.503; the step at 0.3 is past the truncation
}

TEST(Denoise, SaysWhichUpdatesWereReused) {
  int calls = 0;
  std::string updates;
  DenoiseOptions options{
      .sigmas = turbo_sigmas(5),
      .cfg = {.scale = 4, .truncation = 0.2},
      .step_cache = {.method = StepCache::kMask, .mask = "1010"},
      .on_update = [&](const Update& update) { updates += update.is_reused ? '0' : '1'; }};
  // Past the truncation the positive branch goes on alone, from the cache as well.
  options.denoiser = [&](const Tensor& latents, float, std::span<const Branch> branches) {
    EXPECT_EQ(branches.size(), ++calls == 1 ? 2 : 1);
    return std::vector<Tensor>(branches.size(), from_values(latents.shape(), {3, 3}));
  };
  const Tensor latents = denoise(from_values({1, 1, 2}, {1, -2}), options);
  EXPECT_EQ(updates, "1010");
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(all_close(latents, from_values({1, 1, 2}, {4, 1}), 1e-6));
}

TEST(Denoise, NamesTheStepOfTheFirstValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    DenoiseOptions options{.sigmas = turbo_sigmas(5)};
    int call = 0;
    options.denoiser = from([&](const Tensor& latents, float) {
      Tensor out = zeros(latents.shape());
      if (++call == 3) out.data<float>()[1] = bad;
      return out;
    });
    EXPECT_THAT(error_of([&] {
                  return denoise(zeros({1, 1, 2}), options);
                }),
                testing::StartsWith("step 3 of 4 (t = 0.25): the transformer's output holds"));
  }
}

TEST(Denoise, StopsWhenTheStepCallbackThrows) {
  int calls = 0;
  DenoiseOptions options{.sigmas = turbo_sigmas(9), .on_update = [](const Update& update) {
                           if (update.step == 2) throw Cancelled("stop");
                         }};
  options.denoiser = from([&](const Tensor& latents, float) {
    ++calls;
    return zeros(latents.shape());
  });
  EXPECT_THROW(denoise(zeros({1, 1, 2}), options), Cancelled);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace zimage
