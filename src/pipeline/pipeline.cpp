#include "zimage/pipeline.h"

#include <algorithm>
#include <utility>

#include "core/allocator.h"
#include "core/check.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "cpu/isa.h"
#include "cpu/peaks.h"
#include "io/printable.h"
#include "models/preset.h"
#include "pipeline/denoise.h"
#include "pipeline/denoising_stage.h"
#include "pipeline/loaded_model.h"
#include "pipeline/run_plan.h"
#include "pipeline/stages.h"

namespace zimage {
namespace {

std::optional<ControlFiles> resolve_control_of(const ModelOptions& options) {
  if (!options.controlnet.empty()) return resolve_control(options);
  check_usage(options.control_file.empty(), "--control-file ", printable(options.control_file),
              ": expected --controlnet-weights with it");
  return {};
}

// Few updates leave nothing to learn the rate of change from, and little to save.
void warn_of_step_cache(const GenerateOptions& options, int updates) {
  constexpr int kWorthCaching = 10;
  if (options.step_cache != StepCache::kEasyCache || updates >= kWorthCaching) return;
  log_warning("--step-cache easycache: of ", updates, " updates few or none are reused");
}

void warn_of_slow_processor() {
  if (cpu::best_isa() >= cpu::Isa::kAvx2) return;
  log_warning(
      "without AVX2, which this processor does not show or ZIMAGE_MAX_ISA forbids, a picture "
      "takes many times longer");
}

using OnImage = std::function<void(int index, Image image, const Drawing& how)>;

}  // namespace

struct Pipeline::Impl {
  void draw(const GenerateOptions& options, const OnImage& on_image);

  LoadedModel model;
  PromptEncoder prompts = {};
};

// Adapters and the control network first: they are the smaller downloads, and their choice can
// fail.
Pipeline::Pipeline(const std::string& model, const PipelineOptions& options) {
  const auto adapters = choose_adapters(options);
  std::optional<ControlFiles> control = resolve_control_of(options.model);
  ResolvedModel resolved = resolve_model(model, options.model);
  impl_.reset(new Impl{LoadedModel(std::move(resolved), std::move(control), adapters, options)});
}
Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

void Pipeline::use_model(const std::string& model, const PipelineOptions& options) {
  const auto adapters = choose_adapters(options);
  std::optional<ControlFiles> control = resolve_control_of(options.model);
  ResolvedModel resolved = resolve_model(model, options.model);
  const bool is_same_family = resolved.family == impl_->model.family;
  const SharedTokenizer known = is_same_family ? impl_->model.tokenizer : SharedTokenizer{};
  impl_.reset(
      new Impl{LoadedModel(std::move(resolved), std::move(control), adapters, options, known)});
}

void Pipeline::use_adapters(const PipelineOptions& options) {
  LoadedModel& model = impl_->model;
  model.adapters = load_adapters(choose_adapters(options), model.snapshot, options);
}

const std::vector<AppliedAdapter>& Pipeline::adapters() const {
  return impl_->model.adapters.applied;
}

GenerateOptions Pipeline::defaults() const {
  const Preset& preset = preset_of(impl_->model.family);
  GenerateOptions options;
  options.width = preset.width;
  options.height = preset.height;
  options.steps = preset.steps;
  options.guidance_scale = preset.guidance_scale;
  options.max_sequence_length =
      std::min(preset.max_sequence_length, impl_->model.limits().max_tokens);
  for (const AppliedAdapter& adapter : adapters()) {
    if (!adapter.recipe || adapter.scale == 0) continue;
    options.steps = adapter.recipe->steps;
    options.schedule = Schedule::kLiteral;
    options.guidance_scale = adapter.recipe->guidance_scale;
  }
  return options;
}

std::string Pipeline::compute_dtype() const {
  const Int8Choice& int8 = impl_->model.int8;
  if (!int8.is_on) return impl_->model.compute == Dtype::kF32 ? "f32" : "bf16";
  if (int8.kept.empty()) return "int8";
  std::string kept;
  for (const std::string& part : int8.kept) kept += " " + part;
  return "int8 (bf16:" + kept + ")";
}

void Pipeline::check_options(const GenerateOptions& options) const {
  impl_->model.check_options(options);
}

RunPlan Pipeline::plan(const GenerateOptions& options) const {
  const LoadedModel& model = impl_->model;
  model.check_picture(options);
  check_weights(model, options);
  return plan_run(model, options);
}

void Pipeline::generate(
    const GenerateOptions& options,
    const std::function<void(int index, Image image, const Drawing& how)>& on_image) {
  // Whatever ends this, the memory goes back to the system.
  const std::unique_ptr<void, void (*)(void*)> trim_at_end(this, [](void*) { allocator::trim(); });
  set_num_threads(impl_->model.threads);
  if (!options.on_profile) return impl_->draw(options, on_image);
  const profile::Recorder recorder;
  impl_->draw(options, on_image);
  Profile profile = recorder.result();
  profile.isa = cpu::name_of(cpu::current_isa());
  allocator::trim();
  profile.peaks = cpu::measure_peaks();
  options.on_profile(profile);
}

void Pipeline::Impl::draw(const GenerateOptions& options, const OnImage& on_image) {
  model.check_options(options);
  warn_of_slow_processor();
  warn_of_step_cache(options, count_updates(model.sigmas(options)));
  check_weights(model, options);
  allocator::trim();
  const MemoryPlan memory = model.plan_memory(options);
  log_savings(memory, model.vae.scale());
  Inputs inputs{.embeds = prompts.encode(model, options, memory),
                .image = {},
                .control = {},
                .kept = kept_pixels(options)};
  allocator::trim();
  inputs.image = encode_image(model, options, memory);
  inputs.control = encode_control(model, options, memory);
  allocator::trim();

  DenoisingStage transformer(model, options, memory, inputs);
  for (int i = 0; i < options.num_images; ++i) {
    DrawnLatents drawn = transformer.draw(i);
    if (!memory.keeps_transformer || i + 1 == options.num_images) transformer.unload();
    allocator::trim();
    Image image = decode(model, options, memory, i, inputs, std::exchange(drawn.latents, {}));
    allocator::trim();
    on_image(i, std::move(image), drawn.how);
  }
}

std::vector<Image> Pipeline::generate(const GenerateOptions& options) {
  std::vector<Image> images;
  generate(options, [&](int, Image image, const Drawing&) { images.push_back(std::move(image)); });
  return images;
}

}  // namespace zimage
