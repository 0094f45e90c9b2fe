#include "pipeline/stages.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "core/profile.h"
#include "io/printable.h"
#include "io/resize.h"
#include "models/component_weights.h"
#include "ops/elementwise.h"
#include "pipeline/control_context.h"
#include "pipeline/denoise.h"

namespace zimage {
namespace {

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 80;  // bytes; enough to recognise the place
  if (text.size() <= kShown) return std::string(text);
  std::size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::vector<std::int32_t> tokenize(const LoadedModel& model, const std::string& prompt,
                                   int max_tokens, std::string_view what) {
  PromptIds prompt_ids = encode_prompt(*model.tokenizer.tokenizer, prompt, max_tokens);
  if (prompt_ids.total > static_cast<int>(prompt_ids.ids.size())) {
    log_warning("the ", what, " has ", prompt_ids.total, " tokens, ", prompt_ids.ids.size(),
                " are read (--max-sequence-length); lost: \"", shortened(prompt_ids.lost), "\"");
  }
  return std::move(prompt_ids.ids);
}

std::vector<std::vector<std::int32_t>> tokenize(const LoadedModel& model,
                                                const GenerateOptions& options) {
  const int tokens = options.max_sequence_length;
  std::vector<std::vector<std::int32_t>> prompts{tokenize(model, options.prompt, tokens, "prompt")};
  if (options.guidance_scale > 0) {
    prompts.push_back(tokenize(model, options.negative_prompt, tokens, "negative prompt"));
  } else if (!options.negative_prompt.empty()) {
    log_warning("the negative prompt has no effect at guidance 0");
  }
  return prompts;
}

void throw_if_cancelled(const GenerateOptions& options) {
  if (options.is_cancelled && options.is_cancelled()) throw Cancelled("cancelled");
}

// A VAE encoder while it is needed.
class EncodingStage {
 public:
  EncodingStage(const LoadedModel& model, const GenerateOptions& options)
      : weights_(load(model, options)), encoder_(model.vae, weights_, model.compute) {
    weights_.release_pages();  // most are converted
  }
  const VaeEncoder& encoder() const { return encoder_; }
  // What came out is right; throws Error otherwise.
  Tensor checked(Tensor x) const {
    weights_.check_intact();
    check(ops::all_finite(x), "vae: the encoded picture holds values that are not finite");
    return x;
  }

 private:
  static WeightMap load(const LoadedModel& model, const GenerateOptions& options) {
    report(options, {.stage = Stage::kEncodingImage, .images = options.num_images});
    return model.load_weights("vae");
  }

  profile::Stage stage_{"vae encoder"};  // the first: loading counts
  WeightMap weights_;
  VaeEncoder encoder_;
};

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

// On zeros that take no memory: by names, shapes and dtypes alone.
void check_control_weights(const LoadedModel& model) {
  WeightMap weights = load_control(*model.control_files);
  WeightSurvey survey;
  weights.begin_survey(survey);
  (void)ControlNet(*model.control, model.transformer, weights, model.compute);
  survey.check(weights.where());
}

}  // namespace

void report(const GenerateOptions& options, const Progress& progress) {
  throw_if_cancelled(options);
  if (options.on_progress) options.on_progress(progress);
}

void check_weights(const LoadedModel& model, const GenerateOptions& options) {
  const WeightMap weights = model.load_weights("vae");
  (void)VaeDecoder(model.vae, weights, model.compute);
  if (options.image || options.control.any()) (void)VaeEncoder(model.vae, weights, model.compute);
  if (model.control) check_control_weights(model);
}

std::vector<Tensor> PromptEncoder::encode(const LoadedModel& model, const GenerateOptions& options,
                                          const MemoryPlan& memory) {
  const profile::Stage stage("text encoder");
  const auto prompts = tokenize(model, options);
  report(options, {.stage = Stage::kEncodingPrompt, .images = options.num_images});
  std::vector<Encoded> now;
  std::optional<WeightMap> weights;  // loaded once, and not at all when all prompts are known
  std::optional<TextEncoder> encoder;
  for (const auto& ids : prompts) {
    const auto known = std::find_if(encoded_.begin(), encoded_.end(),
                                    [&](const Encoded& e) { return e.ids == ids; });
    if (known != encoded_.end()) {
      now.push_back(*known);
      continue;
    }
    if (!encoder) {
      weights.emplace(model.load_weights("text_encoder"));
      weights->keep_layers(memory.of("text encoder").layer_bytes);
      encoder.emplace(model.text_encoder, *weights, model.compute);
    }
    now.push_back({ids, (*encoder)(ids)});
    weights->check_intact();
    check(ops::all_finite(now.back().embeds),
          "text encoder: the prompt embeddings hold values that are not finite");
  }
  encoded_ = std::move(now);
  std::vector<Tensor> embeds;
  for (const Encoded& e : encoded_) embeds.push_back(e.embeds);
  return embeds;
}

std::optional<ImageSource> encode_image(const LoadedModel& model, const GenerateOptions& options,
                                        const MemoryPlan& memory) {
  if (!options.image) return {};
  const EncodingStage stage(model, options);
  const Tensor pixels = to_pixels(*options.image, options.width, options.height);
  ImageSource source{
      .moments = stage.checked(stage.encoder().moments(pixels, memory.of("vae encoder").tile)),
      .mask = {}};
  if (options.mask) {
    source.mask = mask_of_latents(to_mask(*options.mask, options.width, options.height),
                                  static_cast<int>(source.moments.dim(1)),
                                  static_cast<int>(source.moments.dim(2)));
  }
  return source;
}

Tensor encode_control(const LoadedModel& model, const GenerateOptions& options,
                      const MemoryPlan& memory) {
  if (!model.control || options.control.scale == 0) return {};
  const EncodingStage stage(model, options);
  return stage.checked(control_context(options.control, stage.encoder(), model.vae,
                                       model.control->in_channels, options.width, options.height,
                                       memory.of("vae encoder").tile));
}

DrawnLatents draw_latents(const LoadedModel& model, const GenerateOptions& options,
                          const MemoryPlan& plan, int image, const Inputs& inputs) {
  const StageMemory& memory = plan.of("transformer");
  const profile::Stage stage("transformer");
  Start from = start(model, options, image, inputs.image);
  Progress progress{.stage = Stage::kDenoising,
                    .image = image,
                    .images = options.num_images,
                    .steps = count_updates(from.sigmas)};
  report(options, progress);
  WeightMap weights = model.load_weights("transformer");
  weights.keep_layers(memory.layer_bytes);
  const Transformer transformer(model.transformer, weights, model.compute);
  std::optional<LoadedControl> loaded;
  if (inputs.control.defined()) {
    loaded.emplace(model, inputs.control, transformer, options.control.scale,
                   memory.control_layer_bytes);
  }
  Prompted prompted(transformer, loaded ? &loaded->control : nullptr, options, memory.prompts);
  for (const Tensor& embeds : inputs.embeds) {
    prompted.add(embeds, static_cast<int>(from.latents.dim(1)),
                 static_cast<int>(from.latents.dim(2)));
  }
  Drawing how;
  Tensor latents = denoise(std::move(from.latents),
                           {.sigmas = std::move(from.sigmas),
                            .cfg = {.scale = options.guidance_scale,
                                    .truncation = options.cfg_truncation,
                                    .normalization = options.cfg_normalization,
                                    .normalization_factor = options.cfg_normalization_factor},
                            .denoiser = prompted,
                            .step_cache = {.method = options.step_cache,
                                           .mask = options.step_cache_mask,
                                           .threshold = options.step_cache_threshold,
                                           .start = options.step_cache_start,
                                           .end = options.step_cache_end},
                            .keep = std::move(from.keep),
                            .on_update = [&](const Update& update) {
                              weights.check_intact();
                              if (loaded) loaded->weights.check_intact();
                              how.updates += update.is_reused ? '0' : '1';
                              progress.step = update.step;
                              report(options, progress);
                            }});
  if (options.step_cache != StepCache::kOff) log_reuse(how.updates);
  return {std::move(latents), std::move(how)};
}

std::optional<KeptPixels> kept_pixels(const GenerateOptions& options) {
  const auto& original = options.mask ? options.image : options.control.inpaint_image;
  const auto& mask = options.mask ? options.mask : options.control.mask;
  if (!original || !mask || options.no_composite) return {};
  return KeptPixels{resize_lanczos(*original, options.width, options.height),
                    to_mask(*mask, options.width, options.height)};
}

Image decode(const LoadedModel& model, const GenerateOptions& options, const MemoryPlan& memory,
             int image, const Inputs& inputs, Tensor latents) {
  const profile::Stage stage("vae decoder");
  report(options, {.stage = Stage::kDecoding, .image = image, .images = options.num_images});
  const WeightMap weights = model.load_weights("vae");
  const VaeDecoder decoder(model.vae, weights, model.compute);
  weights.release_pages();  // most are converted
  const Tensor pixels = decoder(std::exchange(latents, {}), memory.of("vae decoder").tile);
  weights.check_intact();
  check(ops::all_finite(pixels), "vae: the decoded picture holds values that are not finite");
  Image drawn = to_image(pixels);
  if (!inputs.kept) return drawn;
  return composite(inputs.kept->original, drawn, inputs.kept->mask);
}

}  // namespace zimage
