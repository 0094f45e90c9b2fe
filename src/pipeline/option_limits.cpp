#include "pipeline/option_limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "pipeline/step_cache.h"
#include "zimage/options.h"

namespace zimage {
namespace {

constexpr int kMinSize = 64;     // pixels
constexpr int kMaxSteps = 1000;  // the scheduler's training timesteps
constexpr int kMaxImages = 10000;
constexpr int kMinTokens = 16;  // the chat template takes 8
constexpr float kMaxGuidance = 1000;
constexpr float kMaxControlScale = 100;
constexpr double kMaxCacheThreshold = 1000;

void check_size(std::string_view name, int value, int multiple, int largest) {
  const int smallest = (kMinSize + multiple - 1) / multiple * multiple;
  const int inside = std::clamp(value, smallest, largest);
  const int nearest = std::min((inside + multiple / 2) / multiple * multiple, largest);
  check_usage(value >= smallest && value <= largest && value % multiple == 0, "--", name, " ",
              value, ": expected a multiple of ", multiple, " from ", smallest, " to ", largest,
              "; the nearest is ", nearest);
}

template <class T>
void check_range(std::string_view name, T value, T low, T high) {
  const bool ok = value >= low && value <= high;  // false for NaN
  check_usage(ok, "--", name, " ", value, ": expected ", low, " to ", high);
}

void check_picture(std::string_view name, const Image& image) {
  const auto expected = std::uint64_t{3} * static_cast<std::uint64_t>(image.width) *
                        static_cast<std::uint64_t>(image.height);
  check_usage(image.width > 0 && image.height > 0 && image.pixels.size() == expected, "--", name,
              ": a picture of ", image.width, " x ", image.height, " pixels with ",
              image.pixels.size(), " bytes, expected ", expected);
}

void check_control(const ControlInputs& control) {
  if (control.image) check_picture("control-image", *control.image);
  if (control.inpaint_image) check_picture("inpaint-image", *control.inpaint_image);
  if (control.mask) check_picture("mask", *control.mask);
  check_range("control-scale", control.scale, 0.0f, kMaxControlScale);
}

// What does not depend on the number of updates.
void check_step_cache(const GenerateOptions& options) {
  const bool is_mask = options.step_cache == StepCache::kMask;
  check_usage(is_mask || options.step_cache_mask.empty(),
              "--step-cache-mask: expected --step-cache mask with it");
  check_usage(!is_mask || !options.step_cache_mask.empty(),
              "--step-cache mask: expected --step-cache-mask with it");
  if (is_mask) check_step_cache_mask(options.step_cache_mask);
  check_range("step-cache-threshold", options.step_cache_threshold,
              std::numeric_limits<double>::min(), kMaxCacheThreshold);
  check_range("step-cache-start", options.step_cache_start, 0.0, 1.0);
  check_range("step-cache-end", options.step_cache_end, 0.0, 1.0);
  check_usage(options.step_cache_start < options.step_cache_end, "--step-cache-start ",
              options.step_cache_start, ": expected less than --step-cache-end ",
              options.step_cache_end);
}

void check_pictures(const GenerateOptions& options) {
  const bool has_masked =
      (options.image && options.mask) || (options.control.inpaint_image && options.control.mask);
  check_usage(options.image || !options.mask, "--mask: expected --image with it");
  check_usage(options.image || !options.strength, "--strength: expected --image with it");
  check_usage(has_masked || !options.no_composite,
              "--no-composite: expected a picture and --mask with it");
  if (options.image) check_picture("image", *options.image);
  if (options.mask) check_picture("mask", *options.mask);
  if (options.strength) check_range("strength", *options.strength, 0.0, 1.0);
}

}  // namespace

void check_options(const GenerateOptions& options, const OptionLimits& limits) {
  check_size("width", options.width, limits.size_multiple, limits.max_width);
  check_size("height", options.height, limits.size_multiple, limits.max_height);
  check_range("steps", options.steps, 1, kMaxSteps);
  check_range("guidance", options.guidance_scale, 0.0f, kMaxGuidance);
  check_range("cfg-truncation", options.cfg_truncation, 0.0, 1.0);
  check_range("cfg-normalization-factor", options.cfg_normalization_factor,
              std::numeric_limits<float>::min(), kMaxGuidance);
  check_range("num-images", options.num_images, 1, kMaxImages);
  check_range("max-sequence-length", options.max_sequence_length, kMinTokens, limits.max_tokens);
  check_usage(options.seed <= std::numeric_limits<std::uint64_t>::max() -
                                  static_cast<std::uint64_t>(options.num_images - 1),
              "--seed ", options.seed, ": seed + ", options.num_images - 1,
              " of the last picture exceeds 2^64 - 1");
  check_inputs(options);
}

void check_inputs(const GenerateOptions& options) {
  check_step_cache(options);
  check_pictures(options);
  check_control(options.control);
}

double strength_of(const GenerateOptions& options) {
  constexpr double kImageToImage = 0.6, kInpaint = 1;  // diffusers' defaults
  return options.strength.value_or(options.mask ? kInpaint : kImageToImage);
}

std::string_view name_of(Schedule schedule) {
  return schedule == Schedule::kLiteral ? "literal" : "terminal";
}

std::string_view name_of(StepCache step_cache) {
  switch (step_cache) {
    case StepCache::kOff: return "off";
    case StepCache::kMask: return "mask";
    case StepCache::kEasyCache: return "easycache";
  }
  return "";
}

std::string_view name_of(Rng rng) { return rng == Rng::kCuda ? "cuda" : "torch"; }

}  // namespace zimage
