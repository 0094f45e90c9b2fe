#pragma once

#include <string_view>

#include "zimage/pipeline.h"

namespace zimage {

// Every option of a picture, once: the command line, its help and other front ends visit this list.
// option(name, field, help) is called with fields of type std::string, int, float, double, bool,
// std::uint64_t, std::optional<double>, Schedule, StepCache and Rng. Pictures are not among them.
template <class Options, class Visitor>
void visit_options(Options& o, Visitor&& option) {
  option("prompt", o.prompt, "what to draw");
  option("negative-prompt", o.negative_prompt, "what to avoid; acts only with guidance");
  option("width", o.width, "pixels, a multiple of 16");
  option("height", o.height, "pixels, a multiple of 16");
  option("steps", o.steps, "points of the schedule; the terminal one makes steps - 1 updates");
  option("guidance", o.guidance_scale, "pos + scale * (pos - neg); 0 turns guidance off");
  option("cfg-normalization", o.cfg_normalization,
         "limit the guided prediction's norm to the unguided one's");
  option("cfg-normalization-factor", o.cfg_normalization_factor,
         "times this factor; turns --cfg-normalization on");
  option("cfg-truncation", o.cfg_truncation, "no guidance where 1 - sigma exceeds this, 0 to 1");
  option("schedule", o.schedule, "terminal (diffusers up to 0.38) or literal (from 0.39 on)");
  option("seed", o.seed, "0 to 2^64 - 1; drawn at random and printed when not given");
  option("rng", o.rng, "noise as torch draws it on the CPU (torch) or on a GPU (cuda)");
  option("num-images", o.num_images, "number of pictures; picture i uses seed + i");
  option("max-sequence-length", o.max_sequence_length,
         "prompt tokens that are read, the chat template's included");
  option("step-cache", o.step_cache,
         "reuse outputs of the transformer at updates that a mask names or where little changes; "
         "faster, at the cost of quality");
  option("step-cache-mask", o.step_cache_mask,
         "a digit for every update, 1 computed, 0 reused; sets --step-cache mask");
  option("step-cache-threshold", o.step_cache_threshold,
         "relative change up to which easycache reuses; sets --step-cache easycache");
  option("step-cache-start", o.step_cache_start,
         "share of the updates before which easycache computes all");
  option("step-cache-end", o.step_cache_end,
         "share of the updates after which easycache computes all");
  option("strength", o.strength,
         "with --image: share of the schedule that is drawn, 0 to 1; 0.6, with a mask 1");
  option("no-composite", o.no_composite,
         "with --mask: kept pixels as the VAE decodes them, not the picture's own");
}

// Throws UsageError for pictures and settings of theirs that no model could draw with. A part of
// Pipeline::check_options(), for callers that have no model yet.
void check_inputs(const GenerateOptions& options);

// What stands for a strength that was not given.
double strength_of(const GenerateOptions& options);

std::string_view name_of(Schedule schedule);     // "terminal", "literal"
std::string_view name_of(StepCache step_cache);  // "off", "mask", "easycache"
std::string_view name_of(Rng rng);               // "torch", "cuda"

}  // namespace zimage
