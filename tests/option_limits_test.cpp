#include "pipeline/option_limits.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include "testing.h"

namespace zimage {
namespace {

constexpr OptionLimits kLimits{
    .size_multiple = 16, .max_height = 8192, .max_width = 4096, .max_tokens = 1504};

std::string refusal(const std::function<void(GenerateOptions&)>& change) {
  GenerateOptions options;
  change(options);
  return error_of([&] {
    check_options(options, kLimits);
    return 0;
  });
}

TEST(CheckOptions, AcceptsDefaultsAndTheEndsOfEveryRange) {
  EXPECT_EQ(refusal([](GenerateOptions&) {}), "");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.width = 64, o.height = 8192; }), "");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.seed = std::numeric_limits<std::uint64_t>::max(); }),
            "");
}

TEST(CheckOptions, NamesTheNearestLegalSize) {
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.width = 513; }),
            "--width 513: expected a multiple of 16 from 64 to 4096; the nearest is 512");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.width = 520; }),
            "--width 520: expected a multiple of 16 from 64 to 4096; the nearest is 528");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.height = 48; }),
            "--height 48: expected a multiple of 16 from 64 to 8192; the nearest is 64");
  EXPECT_THAT(refusal([](GenerateOptions& o) { o.width = -16; }),
              testing::HasSubstr("nearest is 64"));
  EXPECT_THAT(refusal([](GenerateOptions& o) { o.width = std::numeric_limits<int>::max(); }),
              testing::HasSubstr("the nearest is 4096"));
}

TEST(CheckOptions, RefusesEveryNumberOutOfRange) {
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.steps = 0; }), "--steps 0: expected 1 to 1000");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.guidance_scale = -1; }),
            "--guidance -1: expected 0 to 1000");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.guidance_scale = NAN; }),
            "--guidance nan: expected 0 to 1000");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.cfg_truncation = 1.5f; }),
            "--cfg-truncation 1.5: expected 0 to 1");
  EXPECT_THAT(refusal([](GenerateOptions& o) { o.cfg_normalization_factor = 0; }),
              testing::StartsWith("--cfg-normalization-factor 0: expected"));
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.num_images = 0; }),
            "--num-images 0: expected 1 to 10000");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.max_sequence_length = 1505; }),
            "--max-sequence-length 1505: expected 16 to 1504");
}

TEST(CheckOptions, RefusesStepCacheSettingsThatDoNotFit) {
  const auto easycache = [](double threshold, double start = 0, double end = 1) {
    return refusal([=](GenerateOptions& o) {
      o.step_cache = StepCache::kEasyCache;
      o.step_cache_threshold = threshold;
      o.step_cache_start = start;
      o.step_cache_end = end;
    });
  };
  EXPECT_EQ(easycache(0.01), "");
  for (const double bad : {0.0, -1.0, 1001.0, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(easycache(bad), testing::StartsWith(str("--step-cache-threshold ", bad, ": ")));
  }
  EXPECT_EQ(easycache(1, -0.1), "--step-cache-start -0.1: expected 0 to 1");
  EXPECT_EQ(easycache(1, 0, 1.1), "--step-cache-end 1.1: expected 0 to 1");
  EXPECT_EQ(easycache(1, 0.5, 0.5),
            "--step-cache-start 0.5: expected less than --step-cache-end 0.5");
  EXPECT_EQ(refusal([](GenerateOptions& o) { o.step_cache_mask = "11"; }),
            "--step-cache-mask: expected --step-cache mask with it");
  EXPECT_THAT(refusal([](GenerateOptions& o) { o.step_cache = StepCache::kMask; }),
              testing::StartsWith("--step-cache mask: expected --step-cache-mask"));
}

TEST(CheckOptions, RefusesSeedsThatWouldWrapAround) {
  EXPECT_THAT(refusal([](GenerateOptions& o) {
                o.seed = std::numeric_limits<std::uint64_t>::max();
                o.num_images = 2;
              }),
              testing::HasSubstr("exceeds 2^64 - 1"));
}

}  // namespace
}  // namespace zimage
