// Updates that go without the transformer: what it gave at an earlier one stands in.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "zimage/pipeline.h"

namespace zimage {

// The prompts of classifier-free guidance.
enum class Branch { kPositive, kNegative };

// The transformer with everything but latents, time and prompt bound to it. latents: [channels, h,
// w] f32; t: 1 - sigma. Returns the negated velocity of each of the branches, same shape, f32.
using Denoiser = std::function<std::vector<Tensor>(const Tensor& latents, float t,
                                                   std::span<const Branch> branches)>;

struct StepCacheOptions {
  StepCache method = StepCache::kOff;
  std::string mask = {};            // kMask: a digit for every update, 1: computed, 0: reused
  double threshold = 0.05;          // kEasyCache: relative change since what is reused
  double start = 0.15, end = 0.95;  // kEasyCache: the part of the updates that may reuse
};

// Throws UsageError unless the mask is made of 0 and 1, starts with 1, and (updates > 0) has a
// digit for every update.
void check_step_cache_mask(const std::string& mask, int updates = 0);

// Decides for one update after the other.
class ReusePolicy {
 public:
  virtual ~ReusePolicy() = default;
  // Whether earlier outputs may stand in at update `update` (from 0), which starts from `latents`.
  virtual bool reuses(int update, const Tensor& latents) = 0;
  // What the transformer gave there for the positive prompt, when it ran.
  virtual void computed(const Tensor& latents, const Tensor& output);
};

// updates: of the picture, at least 1. Null with kOff.
std::unique_ptr<ReusePolicy> make_reuse_policy(const StepCacheOptions& options, int updates);

// A denoiser that reuses outputs, each branch its own, where the policy says so.
class CachingDenoiser {
 public:
  CachingDenoiser(Denoiser denoiser, const StepCacheOptions& options, int updates);

  struct Result {
    std::vector<Tensor> outputs;  // one per branch
    bool is_reused;               // the transformer did not run
  };
  // Once per update, in order.
  Result operator()(const Tensor& latents, float t, std::span<const Branch> branches);

 private:
  struct Computed {
    Tensor latents, output;
  };
  std::optional<Computed>& stored(Branch branch) {
    return stored_[static_cast<std::size_t>(branch)];
  }

  Denoiser denoiser_;
  std::unique_ptr<ReusePolicy> policy_;
  int update_ = 0;
  std::array<std::optional<Computed>, 2> stored_;
};

}  // namespace zimage
