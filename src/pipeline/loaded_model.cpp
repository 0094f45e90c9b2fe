#include "pipeline/loaded_model.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "io/json.h"
#include "models/component_weights.h"
#include "pipeline/control_context.h"
#include "pipeline/denoise.h"
#include "pipeline/start.h"
#include "zimage/options.h"

namespace zimage {
namespace {

SharedTokenizer load_tokenizer(const Snapshot& snapshot, const SharedTokenizer& known) {
  const auto file = std::filesystem::canonical(snapshot.tokenizer_dir() / "tokenizer.json");
  if (known.tokenizer != nullptr && known.file == file) return known;
  return {file, std::make_shared<const Tokenizer>(Tokenizer::load(snapshot.tokenizer_dir()))};
}

ControlNetConfig control_config(const ControlFiles& files, const TransformerConfig& transformer) {
  if (files.config.empty()) {
    return ControlNetConfig::from_weights(load_control(files), transformer);
  }
  return ControlNetConfig::from_json(Json::parse_file(files.config), transformer);
}

}  // namespace

LoadedModel::LoadedModel(ResolvedModel model, std::optional<ControlFiles> files,
                         const std::vector<ChosenAdapter>& chosen, const PipelineOptions& options,
                         const SharedTokenizer& known)
    : snapshot(std::move(model.snapshot)),
      family(model.family),
      threads(options.threads > 0 ? options.threads : hardware_threads()),
      max_memory(options.max_memory),
      compute(options.dtype == ComputeDtype::kF32 ? Dtype::kF32 : Dtype::kBf16),
      int8(choose_int8(snapshot, options.dtype, options.int8_keep, "--int8-keep")),
      tokenizer(load_tokenizer(snapshot, known)),
      text_encoder(TextEncoderConfig::from_json(snapshot.config_of("text_encoder"))),
      transformer(TransformerConfig::from_json(snapshot.config_of("transformer"))),
      vae(VaeConfig::from_json(snapshot.config_of("vae"))),
      scheduler(SchedulerConfig::from_json(snapshot.config_of("scheduler"))),
      control_files(std::move(files)),
      adapters(load_adapters(chosen, snapshot, options)) {
  check_fit();
  if (control_files) control = control_config(*control_files, transformer);
}

void LoadedModel::check_fit() const {
  const std::string root = snapshot.root().string();
  check(text_encoder.hidden_size == transformer.cap_feat_dim, root,
        ": text_encoder hidden_size is ", text_encoder.hidden_size,
        ", but the transformer's cap_feat_dim is ", transformer.cap_feat_dim);
  check(vae.latent_channels == transformer.in_channels, root, ": vae latent_channels is ",
        vae.latent_channels, ", but the transformer's in_channels is ", transformer.in_channels);
  const int ids = tokenizer.tokenizer->vocab_size();
  check(ids <= text_encoder.vocab_size, root, ": the tokenizer has ids up to ", ids - 1,
        ", but text_encoder vocab_size is ", text_encoder.vocab_size);
}

WeightMap LoadedModel::load_weights(const std::string& component) const {
  WeightMap weights = zimage::load_weights(snapshot, component);
  weights.set_int8(int8.policy);
  if (component == "transformer") weights.set_adapters(adapters.set);
  return weights;
}

OptionLimits LoadedModel::limits() const {
  const int unit = vae.scale() * transformer.patch_size;
  // A caption takes positions from 1 on in blocks of 32; the picture's frame is the one behind.
  const int caption_positions = (transformer.axes_lens[0] - 2) / 32 * 32;
  return {.size_multiple = unit,
          .max_height = transformer.axes_lens[1] * unit,
          .max_width = transformer.axes_lens[2] * unit,
          .max_tokens = std::min(caption_positions, text_encoder.max_position_embeddings)};
}

std::vector<float> LoadedModel::sigmas(const GenerateOptions& options) const {
  const int unit = vae.scale() * transformer.patch_size;
  const std::vector<float> all = make_sigmas(
      scheduler,
      options.schedule == Schedule::kLiteral ? ScheduleKind::kLiteral : ScheduleKind::kTerminal,
      options.steps, (options.height / unit) * (options.width / unit));
  return options.image ? sigmas_of_strength(all, strength_of(options)) : all;
}

void LoadedModel::check_control(const ControlInputs& inputs) const {
  if (!control) {
    check_usage(!inputs.any(), "a control image: expected --controlnet-weights with it");
    return;
  }
  check_usage(inputs.any(),
              "a control network: expected a control image, an inpaint image or a mask with it");
  check_control_inputs(inputs, vae, control->in_channels);
}

void LoadedModel::check_picture(const GenerateOptions& options) const {
  zimage::check_options(options, limits());
  if (options.image) {
    check_usage(count_updates(sigmas(options)) > 0, "--strength ", strength_of(options),
                ": leaves none of ", options.steps,
                " steps, the picture would only be copied; expected more");
  }
  if (options.step_cache == StepCache::kMask) {
    check_step_cache_mask(options.step_cache_mask, count_updates(sigmas(options)));
  }
  (void)longest_prompt(options);
}

void LoadedModel::check_options(const GenerateOptions& options) const {
  check_picture(options);
  check_control(options.control);
  (void)plan_memory(options);
}

int LoadedModel::longest_prompt(const GenerateOptions& options) const {
  std::size_t longest = 0;
  for (const std::string& prompt : {options.prompt, options.negative_prompt}) {
    const auto ids = encode_prompt(*tokenizer.tokenizer, prompt, options.max_sequence_length).ids;
    longest = std::max(longest, ids.size());
  }
  return options.prompt.empty() ? options.max_sequence_length : static_cast<int>(longest);
}

MemoryPlan LoadedModel::plan_memory(const GenerateOptions& options) const {
  const std::uint64_t limit = memory_limit(max_memory);
  return zimage::plan_memory({.snapshot = snapshot,
                              .control_files = control_files,
                              .control = control,
                              .adapters = adapters.set.get(),
                              .compute = compute,
                              .int8 = int8.policy,
                              .text_encoder = text_encoder,
                              .transformer = transformer,
                              .vae = vae,
                              .width = options.width,
                              .height = options.height,
                              .tokens = longest_prompt(options),
                              .prompts = options.guidance_scale > 0 ? 2 : 1,
                              .is_limited = limit == max_memory,
                              .has_image = options.image || control,
                              .images = options.num_images},
                             limit);
}

}  // namespace zimage
