#include "pipeline/step_cache.h"

#include <cmath>
#include <string>
#include <utility>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

double mean_magnitude(const Tensor& x) {
  const float* values = x.data<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < x.numel(); ++i) sum += std::abs(double{values[i]});
  return sum / static_cast<double>(x.numel());
}

double mean_change(const Tensor& from, const Tensor& to) {
  const float *a = from.data<float>(), *b = to.data<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < from.numel(); ++i) sum += std::abs(double{b[i]} - a[i]);
  return sum / static_cast<double>(from.numel());
}

class Mask final : public ReusePolicy {
 public:
  explicit Mask(std::string digits) : digits_(std::move(digits)) {}

  bool reuses(int update, const Tensor&) override {
    return digits_[static_cast<std::size_t>(update)] == '0';
  }

 private:
  std::string digits_;
};

// EasyCache (arXiv 2507.02860). The output is taken to change by `rate` times as much as the input,
// the rate being what was seen between the last two updates that were computed. Changes relative to
// the output add up, update by update, until they reach the threshold.
class EasyCache final : public ReusePolicy {
 public:
  EasyCache(const StepCacheOptions& options, int updates) : options_(options), updates_(updates) {}

  bool reuses(int update, const Tensor& latents) override {
    const Tensor before = std::exchange(latest_, latents);
    const bool is_inside = update >= options_.start * updates_ && update < options_.end * updates_;
    if (!is_inside || !rate_) return false;
    change_ += *rate_ * mean_change(before, latents) / mean_magnitude(output_);
    return change_ < options_.threshold;  // not where the output is 0 and the change no number
  }

  void computed(const Tensor& latents, const Tensor& output) override {
    if (output_.defined()) {
      rate_ = mean_change(output_, output) / mean_change(latents_, latents);
    }
    latents_ = latents;
    output_ = output;
    change_ = 0;
  }

 private:
  StepCacheOptions options_;
  int updates_;
  Tensor latest_;            // the latents of the last update
  Tensor latents_, output_;  // of the last update that was computed
  std::optional<double> rate_;
  double change_ = 0;
};

}  // namespace

void ReusePolicy::computed(const Tensor&, const Tensor&) {}

void check_step_cache_mask(const std::string& mask, int updates) {
  const auto refuse = [&](const auto&... expected) {
    throw UsageError(str("--step-cache-mask ", printable(mask), ": ", expected...));
  };
  if (mask.empty() || mask.find_first_not_of("01") != mask.npos) {
    refuse("expected digits 1 (computed) and 0 (reused), one per update");
  }
  if (mask.front() != '1') refuse("expected 1 first, the first update has nothing to reuse");
  if (updates > 0 && mask.size() != static_cast<std::size_t>(updates)) {
    refuse(mask.size(), " digits, expected ", updates, ", one per update of these steps");
  }
}

std::unique_ptr<ReusePolicy> make_reuse_policy(const StepCacheOptions& options, int updates) {
  switch (options.method) {
    case StepCache::kOff: return nullptr;
    case StepCache::kMask:
      check_step_cache_mask(options.mask, updates);
      return std::make_unique<Mask>(options.mask);
    case StepCache::kEasyCache: return std::make_unique<EasyCache>(options, updates);
  }
  return nullptr;
}

CachingDenoiser::CachingDenoiser(Denoiser denoiser, const StepCacheOptions& options, int updates)
    : denoiser_(std::move(denoiser)), policy_(make_reuse_policy(options, updates)) {}

CachingDenoiser::Result CachingDenoiser::operator()(const Tensor& latents, float t,
                                                    std::span<const Branch> branches) {
  if (!policy_) return {denoiser_(latents, t, branches), false};
  const bool may_reuse = policy_->reuses(update_++, latents);
  std::vector<Branch> missing;
  for (const Branch branch : branches) {
    if (!may_reuse || !stored(branch)) missing.push_back(branch);
  }
  if (!missing.empty()) {
    std::vector<Tensor> outputs = denoiser_(latents, t, missing);
    for (std::size_t i = 0; i < missing.size(); ++i) {
      if (missing[i] == Branch::kPositive) policy_->computed(latents, outputs[i]);
      stored(missing[i]) = {latents, std::move(outputs[i])};
    }
  }
  Result result{.outputs = {}, .is_reused = missing.empty()};
  for (const Branch branch : branches) result.outputs.push_back(stored(branch)->output);
  return result;
}

}  // namespace zimage
