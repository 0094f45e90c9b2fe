#include "pipeline/step_cache.h"

#include <gmock/gmock.h>

#include <cmath>

#include "testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr std::array kBoth{Branch::kPositive, Branch::kNegative};
constexpr std::array kPositiveOnly{Branch::kPositive};

Tensor filled(float value) { return from_values({1, 1, 2}, {value, -value}); }

// Gives 10 times the latents for the positive prompt, 100 times for the negative one.
struct Counted {
  Denoiser denoiser() {
    return [this](const Tensor& latents, float, std::span<const Branch> branches) {
      std::vector<Tensor> outputs;
      for (const Branch branch : branches) {
        const float factor = branch == Branch::kPositive ? 10 : 100;
        calls += branch == Branch::kPositive ? 'p' : 'n';
        outputs.push_back(filled(factor * values_of(latents)[0]));
      }
      calls += ' ';
      return outputs;
    };
  }
  std::string calls;
};

TEST(StepCache, RunsTheTransformerAtEveryUpdateWhenOff) {
  Counted counted;
  CachingDenoiser caching(counted.denoiser(), {}, 3);
  for (int i = 0; i < 3; ++i) {
    const auto [outputs, is_reused] = caching(filled(1), 0, kBoth);
    EXPECT_FALSE(is_reused);
    EXPECT_EQ(outputs.size(), 2u);
  }
  EXPECT_EQ(counted.calls, "pn pn pn ");
}

TEST(StepCache, ReusesEveryBranchsOwnOutputWhereTheMaskSaysSo) {
  Counted counted;
  CachingDenoiser caching(counted.denoiser(), {.method = StepCache::kMask, .mask = "10010"}, 5);
  const std::vector<float> source{1, 1, 1, 4, 4};  // the update whose output is expected
  for (int i = 0; i < 5; ++i) {
    const auto [outputs, is_reused] = caching(filled(static_cast<float>(i + 1)), 0, kBoth);
    EXPECT_EQ(is_reused, i == 1 || i == 2 || i == 4) << i;
    EXPECT_EQ(values_of(outputs[0]), values_of(filled(10 * source[i]))) << i;
    EXPECT_EQ(values_of(outputs[1]), values_of(filled(100 * source[i]))) << i;
  }
  EXPECT_EQ(counted.calls, "pn pn ");
}

TEST(StepCache, ComputesABranchThatHasNothingToReuse) {
  Counted counted;
  CachingDenoiser caching(counted.denoiser(), {.method = StepCache::kMask, .mask = "1000"}, 4);
  EXPECT_FALSE(caching(filled(1), 0, kPositiveOnly).is_reused);
  const auto [outputs, is_reused] = caching(filled(2), 0, kBoth);
  EXPECT_FALSE(is_reused);
  EXPECT_EQ(values_of(outputs[0]), values_of(filled(10)));
  EXPECT_EQ(values_of(outputs[1]), values_of(filled(200)));
  EXPECT_TRUE(caching(filled(3), 0, kBoth).is_reused);
  EXPECT_TRUE(caching(filled(4), 0, kPositiveOnly).is_reused);
  EXPECT_EQ(counted.calls, "p n ");
}

TEST(StepCache, SaysWhatIsWrongWithAMask) {
  const auto error = [](const std::string& mask, int updates = 0) {
    return error_of([&] {
      check_step_cache_mask(mask, updates);
      return 0;
    });
  };
  EXPECT_EQ(error("1"), "");
  EXPECT_EQ(error("1101", 4), "");
  EXPECT_EQ(error(""),
            "--step-cache-mask : expected digits 1 (computed) and 0 (reused), one per update");
  EXPECT_THAT(error("1,1"), HasSubstr("--step-cache-mask 1,1: expected digits 1"));
  EXPECT_THAT(error("12"), HasSubstr("expected digits 1"));
  EXPECT_EQ(error("0111"),
            "--step-cache-mask 0111: expected 1 first, the first update has nothing to reuse");
  EXPECT_EQ(error("1101", 8),
            "--step-cache-mask 1101: 4 digits, expected 8, one per update of these steps");
  EXPECT_THAT(error("1\n1"), Not(HasSubstr("\n")));
}

// The updates that are computed when the latents go through `latents` and the output is `output` of
// them.
std::string computed(const StepCacheOptions& options, const std::vector<float>& latents,
                     const std::function<float(float)>& output) {
  const auto policy = make_reuse_policy(options, static_cast<int>(latents.size()));
  std::string updates;
  for (std::size_t i = 0; i < latents.size(); ++i) {
    const bool is_reused = policy->reuses(static_cast<int>(i), filled(latents[i]));
    if (!is_reused) policy->computed(filled(latents[i]), filled(output(latents[i])));
    updates += is_reused ? '0' : '1';
  }
  return updates;
}

std::vector<float> from_one_by(float step, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(1 + step * static_cast<float>(i));
  return values;
}

TEST(EasyCache, AddsUpTheExpectedChangeUntilItReachesTheThreshold) {
  // The output is the input plus 9, 10.5 when the first rate is known, then 12: a step of 0.5
  // changes it by 0.048 and 0.042, so that the third step reaches 0.12 both times.
  const StepCacheOptions options{
      .method = StepCache::kEasyCache, .threshold = 0.12, .start = 0, .end = 1};
  EXPECT_EQ(computed(options, from_one_by(0.5f, 9), [](float x) { return x + 9; }), "110010010");
}

TEST(EasyCache, ComputesAllOutsideOfItsPartOfTheUpdates) {
  const auto output = [](float) { return 1.0f; };  // never changes
  const auto run = [&](double start, double end) {
    return computed({.method = StepCache::kEasyCache, .threshold = 0.1, .start = start, .end = end},
                    from_one_by(0.1f, 10), output);
  };
  EXPECT_EQ(run(0, 1), "1100000000");  // two are needed to see a rate
  EXPECT_EQ(run(0.5, 0.8), "1111100011");
  EXPECT_EQ(run(0.15, 0.95), "1100000000");
  EXPECT_EQ(run(0.95, 1), "1111111111");
}

TEST(EasyCache, ComputesWhereTheChangeIsNoNumber) {
  const StepCacheOptions options{
      .method = StepCache::kEasyCache, .threshold = 1000, .start = 0, .end = 1};
  EXPECT_EQ(computed(options, from_one_by(0.1f, 4), [](float) { return 0.0f; }), "1111");
  EXPECT_EQ(computed(options, from_one_by(0, 4), [](float) { return 0.0f; }), "1111");
}

}  // namespace
}  // namespace zimage
