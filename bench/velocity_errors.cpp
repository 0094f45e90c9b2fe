#include <map>
#include <memory>

#include "core/allocator.h"
#include "core/check.h"
#include "core/random.h"
#include "errors.h"
#include "models/component_weights.h"
#include "models/resolve.h"
#include "pipeline/int8_choice.h"
#include "text_encoder/text_encoder.h"
#include "tokenizer/tokenizer.h"
#include "transformer/transformer.h"

namespace zimage::bench {
namespace {

constexpr std::string_view kPrompt = "a red circle on a blue background";
constexpr int kUpdates = 10;

struct Way {
  std::string name;
  ComputeDtype dtype;
  std::vector<std::string> kept = {};
};

std::vector<Way> ways_of(const TransformerConfig& config) {
  const std::string last = str("layers.", config.n_layers - 1);
  constexpr ComputeDtype kInt8 = ComputeDtype::kInt8;
  return {{"bf16", ComputeDtype::kBf16},
          {"int8", kInt8},
          {"w2 kept", kInt8, {"feed_forward.w2"}},
          {"ends kept", kInt8, {"layers.0", last}}};
}

Tensor prompt_embeds(const Snapshot& snapshot) {
  const auto config = TextEncoderConfig::from_json(snapshot.config_of("text_encoder"));
  const WeightMap weights = load_weights(snapshot, "text_encoder");
  const auto tokenizer = Tokenizer::load(snapshot.tokenizer_dir());
  const auto ids = encode_prompt(tokenizer, kPrompt, config.max_position_embeddings).ids;
  return TextEncoder(config, weights, Dtype::kBf16)(ids);
}

// The transformer in one way of computing, with the prompt bound to it.
class Prompted {
 public:
  Prompted(const Snapshot& snapshot, const Way& way, const Tensor& embeds, int latent)
      : weights_(load_weights(snapshot, "transformer")) {
    weights_.set_int8(choose_int8(snapshot, way.dtype, way.kept, "error").policy);
    transformer_ = std::make_unique<const Transformer>(
        TransformerConfig::from_json(snapshot.config_of("transformer")), weights_,
        way.dtype == ComputeDtype::kF32 ? Dtype::kF32 : Dtype::kBf16);
    caption_ = transformer_->prepare(embeds, latent, latent);
  }
  Tensor operator()(const Tensor& latents, float t) const {
    return (*transformer_)(latents, t, *caption_);
  }

 private:
  WeightMap weights_;
  std::unique_ptr<const Transformer> transformer_;
  std::shared_ptr<const Transformer::Caption> caption_;
};

struct Point {
  float t;  // 0: noise, 1: the picture
  Tensor latents, output;
};

// From noise to the picture in f32.
std::vector<Point> path_of(const Prompted& transformer, Tensor latents) {
  std::vector<Point> path;
  for (int i = 0; i < kUpdates; ++i) {
    const float t = static_cast<float>(i) / kUpdates;
    path.push_back({t, latents, transformer(latents, t)});
    latents = latents.clone();
    const float* output = path.back().output.data<float>();
    for (std::int64_t k = 0; k < latents.numel(); ++k) {
      latents.data<float>()[k] += output[k] / kUpdates;
    }
  }
  return path;
}

}  // namespace

void measure_velocity(const std::string& model, int size, const AddErrorRow& add) {
  const Snapshot snapshot = resolve_model(model, {}).snapshot;
  const auto config = TransformerConfig::from_json(snapshot.config_of("transformer"));
  const Tensor embeds = prompt_embeds(snapshot);
  allocator::trim();
  const int latent = size / 8;
  const Tensor noise = TorchCpuGenerator(1).randn({config.in_channels, latent, latent});
  const auto path = path_of(Prompted(snapshot, {"f32", ComputeDtype::kF32}, embeds, latent), noise);
  allocator::trim();

  std::map<int, ErrorRow> rows;  // by the number of the update
  for (const int update : {1, 5, 9}) {
    rows[update].name = str("velocity, ", size, "x", size, ", t ", path[update].t);
  }
  for (const Way& way : ways_of(config)) {
    const Prompted transformer(snapshot, way, embeds, latent);
    for (auto& [update, row] : rows) {
      const Point& at = path[update];
      row.errors.emplace_back(way.name, relative_error(transformer(at.latents, at.t), at.output));
    }
  }
  for (const auto& [update, row] : rows) add(row);
}

}  // namespace zimage::bench
