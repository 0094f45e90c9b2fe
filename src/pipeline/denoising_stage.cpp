#include "pipeline/denoising_stage.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/log.h"
#include "core/profile.h"
#include "pipeline/denoise.h"

namespace zimage {
namespace {

// A control network at work on the pictures of a request.
struct LoadedControl {
  LoadedControl(const LoadedModel& model, const Tensor& inputs, const Transformer& transformer,
                float scale, std::uint64_t layer_bytes)
      : weights(load(*model.control_files, layer_bytes)),
        net(*model.control, model.transformer, weights, model.compute),
        context(net.prepare(inputs, transformer.x_pad_token())),
        control{net, context, scale} {}
  LoadedControl(const LoadedControl&) = delete;
  LoadedControl& operator=(const LoadedControl&) = delete;

  static WeightMap load(const ControlFiles& files, std::uint64_t layer_bytes) {
    WeightMap weights = load_control(files);
    weights.keep_layers(layer_bytes);
    return weights;
  }

  WeightMap weights;
  ControlNet net;
  ControlContext context;
  Control control;
};

// The transformer with the prompts of a picture bound to it, in the order of Branch.
class Prompted {
 public:
  Prompted(const Transformer& transformer, const Control* control, const GenerateOptions& options,
           int prompts_per_pass)
      : transformer_(transformer),
        control_(control),
        options_(options),
        prompts_per_pass_(static_cast<std::size_t>(prompts_per_pass)) {}

  void add(const Tensor& embeds, int height, int width) {
    captions_.push_back(transformer_.prepare(embeds, height, width));
  }

  std::vector<Tensor> operator()(const Tensor& latents, float t,
                                 std::span<const Branch> branches) const {
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < branches.size(); i += prompts_per_pass_) {
      std::vector<const Transformer::Caption*> captions;
      for (const Branch branch :
           branches.subspan(i, std::min(prompts_per_pass_, branches.size() - i))) {
        captions.push_back(captions_[static_cast<std::size_t>(branch)].get());
      }
      for (Tensor& output : transformer_(
               latents, t, captions, [&] { throw_if_cancelled(options_); }, control_)) {
        outputs.push_back(std::move(output));
      }
    }
    return outputs;
  }

 private:
  const Transformer& transformer_;
  const Control* control_;
  const GenerateOptions& options_;
  std::size_t prompts_per_pass_;
  std::vector<std::shared_ptr<const Transformer::Caption>> captions_;
};

void log_reuse(const std::string& updates) {
  const auto reused = std::count(updates.begin(), updates.end(), '0');
  log_info("step cache: ", updates.size() - static_cast<std::size_t>(reused), " of ",
           updates.size(), " updates computed, ", reused, " reused: ", updates);
}

Start start(const LoadedModel& model, const GenerateOptions& options, int image,
            const std::optional<ImageSource>& source) {
  const NoiseStream noise(options.rng, options.seed + static_cast<std::uint64_t>(image));
  if (source) return start_from_image(model.vae, *source, model.sigmas(options), noise);
  const Shape shape{model.transformer.in_channels, options.height / model.vae.scale(),
                    options.width / model.vae.scale()};
  return start_from_noise(shape, model.sigmas(options), noise);
}

WeightMap load_transformer(const LoadedModel& model, const StageMemory& memory) {
  WeightMap weights = model.load_weights("transformer");
  weights.keep_layers(memory.layer_bytes);
  return weights;
}

}  // namespace

struct DenoisingStage::Loaded {
  Loaded(const LoadedModel& model, const GenerateOptions& options, const StageMemory& memory,
         const Inputs& inputs)
      : weights(load_transformer(model, memory)),
        transformer(model.transformer, weights, model.compute),
        control(load_control(model, options, memory, inputs, transformer)),
        prompted(transformer, control ? &control->control : nullptr, options, memory.prompts) {
    for (const Tensor& embeds : inputs.embeds) {
      prompted.add(embeds, options.height / model.vae.scale(), options.width / model.vae.scale());
    }
  }

  void check_intact() const {
    weights.check_intact();
    if (control) control->weights.check_intact();
  }

  static std::unique_ptr<const LoadedControl> load_control(const LoadedModel& model,
                                                           const GenerateOptions& options,
                                                           const StageMemory& memory,
                                                           const Inputs& inputs,
                                                           const Transformer& transformer) {
    if (!inputs.control.defined()) return nullptr;
    return std::make_unique<const LoadedControl>(model, inputs.control, transformer,
                                                 options.control.scale, memory.control_layer_bytes);
  }

  WeightMap weights;
  Transformer transformer;
  std::unique_ptr<const LoadedControl> control;
  Prompted prompted;
};

DenoisingStage::DenoisingStage(const LoadedModel& model, const GenerateOptions& options,
                               const MemoryPlan& memory, const Inputs& inputs)
    : model_(model), options_(options), memory_(memory.of("transformer")), inputs_(inputs) {}

DenoisingStage::~DenoisingStage() = default;

void DenoisingStage::unload() {
  loaded_ = nullptr;
  if (model_.adapters.set) model_.adapters.set->release_pages();
}

DrawnLatents DenoisingStage::draw(int image) {
  const profile::Stage stage("transformer");
  Start from = start(model_, options_, image, inputs_.image);
  Progress progress{.stage = Stage::kDenoising,
                    .image = image,
                    .images = options_.num_images,
                    .steps = count_updates(from.sigmas)};
  report(options_, progress);
  if (!loaded_) loaded_ = std::make_unique<const Loaded>(model_, options_, memory_, inputs_);
  Drawing how;
  Tensor latents = denoise(std::move(from.latents),
                           {.sigmas = std::move(from.sigmas),
                            .cfg = {.scale = options_.guidance_scale,
                                    .truncation = options_.cfg_truncation,
                                    .normalization = options_.cfg_normalization,
                                    .normalization_factor = options_.cfg_normalization_factor},
                            .denoiser = std::cref(loaded_->prompted),
                            .step_cache = {.method = options_.step_cache,
                                           .mask = options_.step_cache_mask,
                                           .threshold = options_.step_cache_threshold,
                                           .start = options_.step_cache_start,
                                           .end = options_.step_cache_end},
                            .keep = std::move(from.keep),
                            .on_update = [&](const Update& update) {
                              loaded_->check_intact();
                              how.updates += update.is_reused ? '0' : '1';
                              progress.step = update.step;
                              report(options_, progress);
                            }});
  if (options_.step_cache != StepCache::kOff) log_reuse(how.updates);
  return {std::move(latents), std::move(how)};
}

}  // namespace zimage
