#include "pipeline/stages.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "core/profile.h"
#include "io/printable.h"
#include "io/resize.h"
#include "models/component_weights.h"
#include "ops/elementwise.h"
#include "pipeline/control_context.h"
#include "pipeline/survey.h"

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

}  // namespace

void throw_if_cancelled(const GenerateOptions& options) {
  if (options.is_cancelled && options.is_cancelled()) throw Cancelled("cancelled");
}

void report(const GenerateOptions& options, const Progress& progress) {
  throw_if_cancelled(options);
  if (options.on_progress) options.on_progress(progress);
}

void check_weights(const LoadedModel& model, const GenerateOptions& options) {
  for (const std::string component : {"text_encoder", "transformer", "vae"}) {
    const WeightMap weights = model.load_weights(component);
    survey(weights, model.snapshot, component).check(weights.where());
  }
  if (options.image || options.control.any()) {
    (void)VaeEncoder(model.vae, model.load_weights("vae"), model.compute);
  }
  if (model.control) {
    const WeightMap weights = load_control(*model.control_files);
    survey_control(weights, *model.control, model.transformer).check(weights.where());
  }
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
