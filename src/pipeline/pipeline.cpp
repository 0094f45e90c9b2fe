#include "zimage/pipeline.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/allocator.h"
#include "core/check.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/random.h"
#include "models/component_weights.h"
#include "models/preset.h"
#include "models/resolve.h"
#include "ops/elementwise.h"
#include "pipeline/denoise.h"
#include "pipeline/memory.h"
#include "pipeline/option_limits.h"
#include "scheduler/flow_match_euler.h"
#include "text_encoder/text_encoder.h"
#include "tokenizer/tokenizer.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {
namespace {

// Encoded prompts of the last request, so that the next picture of the same text skips the encoder.
struct EncodedPrompt {
  std::vector<std::int32_t> ids;
  Tensor embeds;  // [tokens, hidden] f32
};

// A tokenizer and the file it was read from, links followed.
struct SharedTokenizer {
  std::filesystem::path file;
  std::shared_ptr<const Tokenizer> tokenizer;
};

SharedTokenizer load_tokenizer(const Snapshot& snapshot, const SharedTokenizer& known) {
  const auto file = std::filesystem::canonical(snapshot.tokenizer_dir() / "tokenizer.json");
  if (known.tokenizer != nullptr && known.file == file) return known;
  return {file, std::make_shared<const Tokenizer>(Tokenizer::load(snapshot.tokenizer_dir()))};
}

// [3, h, w] f32 in [-1, 1] to 8 bits as diffusers' VaeImageProcessor: x / 2 + 0.5, clamp, round.
Image to_image(const Tensor& pixels) {
  const auto height = pixels.dim(1), width = pixels.dim(2);
  Image image{static_cast<int>(width), static_cast<int>(height), {}};
  image.pixels.resize(static_cast<std::size_t>(width * height * 3));
  const std::int64_t plane = width * height;
  const float* x = pixels.data<float>();
  for (std::int64_t i = 0; i < plane; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float value = std::clamp(x[c * plane + i] / 2 + 0.5f, 0.0f, 1.0f);
      image.pixels[i * 3 + c] = static_cast<std::uint8_t>(std::nearbyint(value * 255));
    }
  }
  return image;
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 80;  // bytes; enough to recognise the place
  if (text.size() <= kShown) return std::string(text);
  std::size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

struct Pipeline::Impl {
  // `known`: a tokenizer that may be the model's.
  Impl(ResolvedModel model, const PipelineOptions& options, const SharedTokenizer& known = {})
      : snapshot(std::move(model.snapshot)),
        family(model.family),
        threads(options.threads > 0 ? options.threads : hardware_threads()),
        compute(options.dtype == ComputeDtype::kF32 ? Dtype::kF32 : Dtype::kBf16),
        shared_tokenizer(load_tokenizer(snapshot, known)),
        tokenizer(*shared_tokenizer.tokenizer),
        text_encoder_config(TextEncoderConfig::from_json(snapshot.config_of("text_encoder"))),
        transformer_config(TransformerConfig::from_json(snapshot.config_of("transformer"))),
        vae_config(VaeConfig::from_json(snapshot.config_of("vae"))),
        scheduler_config(SchedulerConfig::from_json(snapshot.config_of("scheduler"))) {
    check_fit();
  }

  // The components were made for each other.
  void check_fit() const {
    const std::string root = snapshot.root().string();
    check(text_encoder_config.hidden_size == transformer_config.cap_feat_dim, root,
          ": text_encoder hidden_size is ", text_encoder_config.hidden_size,
          ", but the transformer's cap_feat_dim is ", transformer_config.cap_feat_dim);
    check(vae_config.latent_channels == transformer_config.in_channels, root,
          ": vae latent_channels is ", vae_config.latent_channels,
          ", but the transformer's in_channels is ", transformer_config.in_channels);
    check(tokenizer.vocab_size() <= text_encoder_config.vocab_size, root,
          ": the tokenizer has ids up to ", tokenizer.vocab_size() - 1,
          ", but text_encoder vocab_size is ", text_encoder_config.vocab_size);
  }

  OptionLimits limits() const {
    const int unit = vae_config.scale() * transformer_config.patch_size;
    // A caption takes positions from 1 on in blocks of 32; the picture's frame is the one behind.
    const int caption_positions = (transformer_config.axes_lens[0] - 2) / 32 * 32;
    return {.size_multiple = unit,
            .max_height = transformer_config.axes_lens[1] * unit,
            .max_width = transformer_config.axes_lens[2] * unit,
            .max_tokens = std::min(caption_positions, text_encoder_config.max_position_embeddings)};
  }

  void check_options(const GenerateOptions& options) const {
    zimage::check_options(options, limits());
    for (const std::string& prompt : {options.prompt, options.negative_prompt}) {
      (void)encode_prompt(tokenizer, prompt, options.max_sequence_length);
    }
    check_memory({.snapshot = snapshot,
                  .compute = compute,
                  .text_encoder = text_encoder_config,
                  .transformer = transformer_config,
                  .vae = vae_config,
                  .width = options.width,
                  .height = options.height,
                  .tokens = options.max_sequence_length});
  }

  std::vector<std::int32_t> tokenize(const std::string& prompt, const GenerateOptions& options,
                                     std::string_view what) const {
    PromptIds prompt_ids = encode_prompt(tokenizer, prompt, options.max_sequence_length);
    if (prompt_ids.total > static_cast<int>(prompt_ids.ids.size())) {
      log_warning("the ", what, " has ", prompt_ids.total, " tokens, ", prompt_ids.ids.size(),
                  " are read (--max-sequence-length); lost: \"", shortened(prompt_ids.lost), "\"");
    }
    return std::move(prompt_ids.ids);
  }

  // Embeddings of several prompts with the encoder loaded once, and not at all when all are known.
  std::vector<Tensor> encode(const std::vector<std::vector<std::int32_t>>& prompts) {
    std::vector<EncodedPrompt> now;
    std::optional<WeightMap> weights;
    std::optional<TextEncoder> encoder;
    for (const auto& ids : prompts) {
      const auto known = std::find_if(encoded.begin(), encoded.end(),
                                      [&](const EncodedPrompt& e) { return e.ids == ids; });
      if (known != encoded.end()) {
        now.push_back(*known);
        continue;
      }
      if (!encoder) {
        weights.emplace(load_weights(snapshot, "text_encoder"));
        encoder.emplace(text_encoder_config, *weights, compute);
      }
      now.push_back({ids, (*encoder)(ids)});
      weights->check_intact();
      check(ops::all_finite(now.back().embeds),
            "text encoder: the prompt embeddings hold values that are not finite");
    }
    encoded = std::move(now);
    std::vector<Tensor> embeds;
    for (const EncodedPrompt& e : encoded) embeds.push_back(e.embeds);
    return embeds;
  }

  Tensor initial_latents(const GenerateOptions& options, std::uint64_t seed) const {
    const Shape shape{transformer_config.in_channels, options.height / vae_config.scale(),
                      options.width / vae_config.scale()};
    if (options.rng == Rng::kCuda) return torch_cuda_randn(shape, seed);
    return TorchCpuGenerator(seed).randn(shape);
  }

  std::vector<float> sigmas(const GenerateOptions& options) const {
    const int unit = vae_config.scale() * transformer_config.patch_size;
    return make_sigmas(
        scheduler_config,
        options.schedule == Schedule::kLiteral ? ScheduleKind::kLiteral : ScheduleKind::kTerminal,
        options.steps, (options.height / unit) * (options.width / unit));
  }

  // embeds: the prompt's, then the negative prompt's when guidance is on.
  Tensor draw_latents(const GenerateOptions& options, int image,
                      const std::vector<Tensor>& embeds) {
    const std::vector<float> sigmas = this->sigmas(options);
    Progress progress{.stage = Stage::kDenoising,
                      .image = image,
                      .images = options.num_images,
                      .steps = count_updates(sigmas)};
    report(options, progress);
    const WeightMap weights = load_weights(snapshot, "transformer");
    const Transformer transformer(transformer_config, weights, compute);
    Tensor latents = initial_latents(options, options.seed + static_cast<std::uint64_t>(image));

    std::vector<Denoiser> branches;
    for (const Tensor& embed : embeds) {
      auto caption = transformer.prepare(embed, static_cast<int>(latents.dim(1)),
                                         static_cast<int>(latents.dim(2)));
      branches.push_back([&, caption = std::move(caption)](const Tensor& x, float t) {
        return transformer(x, t, *caption, [&] { throw_if_cancelled(options); });
      });
    }
    return denoise(std::move(latents),
                   {.sigmas = sigmas,
                    .cfg = {.scale = options.guidance_scale,
                            .truncation = options.cfg_truncation,
                            .normalization = options.cfg_normalization,
                            .normalization_factor = options.cfg_normalization_factor},
                    .positive = branches.front(),
                    .negative = branches.back(),
                    .on_step = [&](int step, int) {
                      weights.check_intact();
                      progress.step = step;
                      report(options, progress);
                    }});
  }

  Image decode(const GenerateOptions& options, int image, Tensor latents) const {
    report(options, {.stage = Stage::kDecoding, .image = image, .images = options.num_images});
    const WeightMap weights = load_weights(snapshot, "vae");
    const VaeDecoder decoder(vae_config, weights, compute);
    const Tensor pixels = decoder(std::exchange(latents, {}));
    weights.check_intact();
    check(ops::all_finite(pixels), "vae: the decoded picture holds values that are not finite");
    return to_image(pixels);
  }

  // The last stage's weights, so that a fault in them is not found after hours of denoising.
  void check_vae() const {
    const WeightMap weights = load_weights(snapshot, "vae");
    (void)VaeDecoder(vae_config, weights, compute);
  }

  static void throw_if_cancelled(const GenerateOptions& options) {
    if (options.is_cancelled && options.is_cancelled()) throw Cancelled("cancelled");
  }

  static void report(const GenerateOptions& options, const Progress& progress) {
    throw_if_cancelled(options);
    if (options.on_progress) options.on_progress(progress);
  }

  Snapshot snapshot;
  Family family;
  int threads;
  Dtype compute;
  SharedTokenizer shared_tokenizer;
  const Tokenizer& tokenizer;
  TextEncoderConfig text_encoder_config;
  TransformerConfig transformer_config;
  VaeConfig vae_config;
  SchedulerConfig scheduler_config;
  std::vector<EncodedPrompt> encoded;
};

Pipeline::Pipeline(const std::string& model, const PipelineOptions& options)
    : impl_(std::make_unique<Impl>(resolve_model(model, options.model), options)) {}
Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

void Pipeline::use_model(const std::string& model, const PipelineOptions& options) {
  ResolvedModel resolved = resolve_model(model, options.model);
  const bool is_same_family = resolved.family == impl_->family;
  impl_ = std::make_unique<Impl>(std::move(resolved), options,
                                 is_same_family ? impl_->shared_tokenizer : SharedTokenizer{});
}

GenerateOptions Pipeline::defaults() const {
  const Preset& preset = preset_of(impl_->family);
  GenerateOptions options;
  options.width = preset.width;
  options.height = preset.height;
  options.steps = preset.steps;
  options.guidance_scale = preset.guidance_scale;
  options.max_sequence_length = std::min(preset.max_sequence_length, impl_->limits().max_tokens);
  return options;
}

std::string_view Pipeline::compute_dtype() const {
  return impl_->compute == Dtype::kF32 ? "f32" : "bf16";
}

void Pipeline::check_options(const GenerateOptions& options) const {
  impl_->check_options(options);
}

void Pipeline::generate(const GenerateOptions& options,
                        const std::function<void(int index, Image image)>& on_image) {
  // Whatever ends this, the memory goes back to the system.
  const std::unique_ptr<void, void (*)(void*)> trim_at_end(this, [](void*) { allocator::trim(); });
  set_num_threads(impl_->threads);
  impl_->check_options(options);
  impl_->check_vae();
  std::vector<std::vector<std::int32_t>> prompts{
      impl_->tokenize(options.prompt, options, "prompt")};
  if (options.guidance_scale > 0) {
    prompts.push_back(impl_->tokenize(options.negative_prompt, options, "negative prompt"));
  } else if (!options.negative_prompt.empty()) {
    log_warning("the negative prompt has no effect at guidance 0");
  }
  Impl::report(options, {.stage = Stage::kEncodingPrompt, .images = options.num_images});
  const std::vector<Tensor> embeds = impl_->encode(prompts);
  allocator::trim();

  for (int i = 0; i < options.num_images; ++i) {
    Tensor latents = impl_->draw_latents(options, i, embeds);
    allocator::trim();
    Image image = impl_->decode(options, i, std::exchange(latents, {}));
    allocator::trim();
    on_image(i, std::move(image));
  }
}

std::vector<Image> Pipeline::generate(const GenerateOptions& options) {
  std::vector<Image> images;
  generate(options, [&](int, Image image) { images.push_back(std::move(image)); });
  return images;
}

}  // namespace zimage
