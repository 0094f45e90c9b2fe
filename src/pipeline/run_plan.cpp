#include "pipeline/run_plan.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "io/disk_reading.h"
#include "layers/module_name.h"
#include "models/component_weights.h"
#include "pipeline/cfg.h"
#include "pipeline/denoise.h"
#include "pipeline/speed.h"
#include "pipeline/system_memory.h"

namespace zimage {
namespace {

// Passes through the transformer for one picture.
int count_forwards(const LoadedModel& model, const GenerateOptions& options) {
  const std::vector<float> sigmas = model.sigmas(options);
  const CfgOptions cfg{.scale = options.guidance_scale, .truncation = options.cfg_truncation};
  int forwards = 0;
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    if (sigmas[i] == sigmas[i + 1]) continue;
    forwards += cfg_scale_at(cfg, model_time(sigmas[i])) > 0 ? 2 : 1;
  }
  return forwards;
}

// Pictures that the VAE encodes.
int count_encoded(const LoadedModel& model, const GenerateOptions& options) {
  const int control = options.control.image.has_value() + options.control.inpaint_image.has_value();
  return (options.image ? 1 : 0) + (model.control ? std::max(control, 1) : 0);
}

Cost cost_of(const std::string& stage, const LoadedModel& model, const GenerateOptions& options) {
  const int tokens = model.longest_prompt(options);
  const int prompts = options.guidance_scale > 0 ? 2 : 1, images = options.num_images;
  if (stage == "text encoder") return prompts * cost_of_text_encoder(model.text_encoder, tokens);
  if (stage == "vae encoder") {
    return count_encoded(model, options) *
           cost_of_vae_encoder(model.vae, options.width, options.height);
  }
  if (stage == "vae decoder") {
    return images * cost_of_vae_decoder(model.vae, options.width, options.height);
  }
  const SequenceLength length(model.transformer, model.vae, options.width, options.height, tokens);
  Cost forward = cost_of_transformer(model.transformer, length);
  if (model.control) forward += cost_of_controlnet(*model.control, model.transformer, length);
  return images * (count_forwards(model, options) * forward +
                   prompts * cost_of_caption(model.transformer, length.caption));
}

// The modules of the transformer whose weights are multiplied in eight bits.
std::set<std::string> int8_modules(const LoadedModel& model) {
  std::set<std::string> modules;
  for (const StoredTensor& t : stored_tensors(model.snapshot, "transformer")) {
    if (!model.int8.policy.multiplies(t.name, t.shape, t.dtype == Dtype::kI8)) continue;
    modules.insert(module_of(t.name));
  }
  return modules;
}

// The part of a forward's matrix products that is in eight bits, by the size of the weights: nearly
// all of them meet the same number of tokens.
double int8_share(const LoadedModel& model) {
  double products = 0, int8 = 0;
  for (const StoredTensor& t : stored_tensors(model.snapshot, "transformer")) {
    const bool is_product = t.shape.rank() == 2 && t.name.find("adaLN") == t.name.npos &&
                            (t.name.starts_with("layers.") || t.name.starts_with("noise_refiner."));
    if (!is_product) continue;
    const auto numbers = static_cast<double>(t.shape.numel());
    products += numbers;
    if (model.int8.policy.multiplies(t.name, t.shape, t.dtype == Dtype::kI8)) int8 += numbers;
  }
  return products > 0 ? int8 / products : 0;
}

std::vector<std::filesystem::path> files_of(const std::string& stage, const LoadedModel& model) {
  if (stage == "text encoder") return model.snapshot.weight_files("text_encoder");
  if (stage != "transformer") return model.snapshot.weight_files("vae");
  auto files = model.snapshot.weight_files("transformer");
  if (model.control_files) {
    const auto& control = model.control_files->weights;
    files.insert(files.end(), control.begin(), control.end());
  }
  if (model.adapters.set) {
    for (const auto& file : model.adapters.set->files()) files.push_back(file->path());
  }
  return files;
}

// How often a stage goes through its weights.
int count_passes(const StageMemory& stage, const LoadedModel& model,
                 const GenerateOptions& options) {
  if (stage.stage == "text encoder") return options.guidance_scale > 0 ? 2 : 1;
  if (stage.stage != "transformer") return 1;
  return options.num_images * (stage.prompts == 1 ? count_forwards(model, options)
                                                  : count_updates(model.sigmas(options)));
}

double kept_share(const StageMemory& stage) {
  return stage.layers == 0 ? 1 : static_cast<double>(stage.kept_layers) / stage.layers;
}

// What adapters add to the transformer's arithmetic. Merging is done anew whenever weights are.
Cost cost_of_adapters(const LoadedModel& model, const GenerateOptions& options,
                      const MemoryPlan& memory) {
  if (!model.adapters.set) return {};
  const SequenceLength length(model.transformer, model.vae, options.width, options.height,
                              model.longest_prompt(options));
  const std::set<std::string> int8 = int8_modules(model);
  const AdapterCost added =
      cost_of_adapters(*model.adapters.set, model.transformer, length,
                       [&](const std::string& module) { return int8.contains(module); });
  const StageMemory& stage = memory.of("transformer");
  const int prompts = options.guidance_scale > 0 ? 2 : 1, images = options.num_images;
  const double kept = kept_share(stage);
  const double merged = kept * (memory.keeps_transformer ? 1 : images) +
                        (1 - kept) * count_passes(stage, model, options);
  return images * (count_forwards(model, options) * added.forward + prompts * added.caption) +
         added.gates + merged * added.merging;
}

// What the files of adapters that are merged take; those of others count as part of the layers.
std::uint64_t merged_file_bytes(const LoadedModel& model) {
  std::uint64_t sum = 0;
  if (!model.adapters.set || !model.adapters.set->is_merged()) return 0;
  for (const auto& file : model.adapters.set->files()) sum += file->bytes().size();
  return sum;
}

// Weights come from the disk once, and again those that neither the program nor the system has room
// for: at each pass layers that do not stay, for each picture what is loaded anew. Reading is
// hardly hidden behind the work: a product waits for its weights.
class Reading {
 public:
  Reading(const LoadedModel& model, const GenerateOptions& options, const MemoryPlan& memory,
          std::uint64_t available)
      : model_(model), options_(options), memory_(memory), available_(available) {}

  double seconds(const StageMemory& stage) {
    const auto files = files_of(stage.stage, model_);
    std::uint64_t all = 0, bytes = 0;
    for (const auto& file : files) {
      all += std::filesystem::file_size(file);
      bytes += uncached_bytes(file);
    }
    const auto passes = static_cast<std::uint64_t>(count_passes(stage, model_, options_));
    const std::uint64_t again = read_again(stage);
    if (!has_room(stage, again)) bytes += (passes - 1) * again;
    const bool is_loaded_anew = stage.stage == "transformer" && !memory_.keeps_transformer &&
                                !has_room(memory_.of("vae decoder"), all);
    if (is_loaded_anew) {
      const auto pictures = static_cast<std::uint64_t>(options_.num_images);
      bytes += (pictures - 1) * (all - std::min(all, again));
    }
    return bytes == 0 ? 0 : static_cast<double>(bytes) / rate(files);
  }

 private:
  // At each pass but the first.
  std::uint64_t read_again(const StageMemory& stage) const {
    if (stage.stage != "transformer") return stage.read_bytes;
    const double left = 1 - kept_share(stage);
    return stage.read_bytes +
           static_cast<std::uint64_t>(left * static_cast<double>(merged_file_bytes(model_)));
  }

  // In the system's cache beside the stage.
  bool has_room(const StageMemory& stage, std::uint64_t bytes) const {
    return stage.bytes() <= available_ && bytes <= available_ - stage.bytes();
  }

  // The last one measured for files that do not tell; infinite where none did.
  double rate(const std::vector<std::filesystem::path>& files) {
    const double now = measure_read_rate(files);
    if (now > 0) rate_ = now;
    return rate_;
  }

  const LoadedModel& model_;
  const GenerateOptions& options_;
  const MemoryPlan& memory_;
  std::uint64_t available_;
  double rate_ = std::numeric_limits<double>::infinity();
};

}  // namespace

RunPlan plan_run(const LoadedModel& model, const GenerateOptions& options) {
  const MemoryPlan memory = model.plan_memory(options);
  RunPlan plan{.stages = {},
               .peak_bytes = memory.peak_bytes(),
               .limit_bytes = memory_limit(model.max_memory),
               .available_bytes = memory_limit(0)};
  set_num_threads(model.threads);
  const Speed speed = measure_speed(model.transformer, model.vae, model.compute, model.int8.is_on);
  const double share = model.int8.is_on ? int8_share(model) : 0;
  Reading reading(model, options, memory, plan.available_bytes);
  for (const StageMemory& stage : memory.stages) {
    const bool is_transformer = stage.stage == "transformer";
    const Cost cost = cost_of(stage.stage, model, options);
    const Cost adapters = is_transformer ? cost_of_adapters(model, options, memory) : Cost();
    const double read = reading.seconds(stage);
    plan.stages.push_back({.stage = stage.stage,
                           .peak_bytes = stage.bytes(),
                           .weight_bytes = stage.weight_bytes,
                           .tensor_bytes = stage.tensor_bytes,
                           .prompts = stage.prompts,
                           .layers = stage.layers,
                           .kept_layers = stage.kept_layers,
                           .read_bytes = stage.read_bytes,
                           .tile = stage.tile * model.vae.scale(),
                           .operations = (cost + adapters).total(),
                           .seconds = read + speed.seconds(cost, is_transformer ? share : 0) +
                                      speed.seconds(adapters),
                           .read_seconds = read});
    plan.seconds += plan.stages.back().seconds;
  }
  return plan;
}

}  // namespace zimage
