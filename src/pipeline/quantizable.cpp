#include "pipeline/quantizable.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "io/printable.h"
#include "layers/config.h"
#include "models/component_weights.h"
#include "pipeline/survey.h"

namespace zimage {
namespace {

void check_not_quantized(const WeightMap& weights) {
  for (const std::string& name : weights.names()) {
    const Tensor* const tensor = weights.find(name);
    check(tensor != nullptr && tensor->dtype() != Dtype::kI8, weights.where(), ": ", name,
          " is quantised already; expected a model in bf16, f16 or f32");
  }
}

TransformerConfig transformer_of(const WeightMap& control) {
  const auto size = [&](const std::string& name, int axis, std::int64_t otherwise) {
    const Shape* const shape = control.shape_of(name + ".weight");
    const auto found = shape != nullptr && axis < shape->rank() ? (*shape)[axis] : otherwise;
    return static_cast<int>(std::clamp<std::int64_t>(found, 1, kMaxSize));
  };
  const std::string block = "control_layers.0.";
  TransformerConfig config{};
  config.dim = size(block + "attention_norm1", 0, size("control_all_x_embedder.2-1", 0, 1));
  const int head_dim = std::min(config.dim, size(block + "attention.norm_q", 0, config.dim));
  config.n_heads = config.dim / head_dim;
  config.n_kv_heads = std::max(1, size(block + "attention.to_k", 0, config.dim) / head_dim);
  config.qk_norm = control.has(block + "attention.norm_q.weight") ||
                   control.has(block + "attention.norm_k.weight");
  config.patch_size = 2;
  config.n_layers = count_blocks(control.names(), "control_layers.");
  config.n_refiner_layers = count_blocks(control.names(), "control_noise_refiner.");
  return config;
}

bool is_finite(const Tensor& scales, std::int64_t i) {
  if (scales.dtype() == Dtype::kU8) return scales.data<std::uint8_t>()[i] != 255;
  return std::isfinite(scales.data<float>()[i]);
}

}  // namespace

WeightMap load_quantizable(const Snapshot& snapshot, const std::string& component) {
  WeightMap weights = load_weights(snapshot, component);
  check_not_quantized(weights);
  survey(weights, snapshot, component).check(weights.where());
  return weights;
}

void check_control_quantizable(const WeightMap& control) {
  using enum ControlNetConfig::Refiner;
  check_not_quantized(control);
  const TransformerConfig transformer = transformer_of(control);
  ControlNetConfig config = ControlNetConfig::from_weights(control, transformer);
  // Those that were never trained are written, too.
  const bool has_untrained = transformer.n_refiner_layers > 0 && config.refiner == kControlLayers;
  if (has_untrained) config.refiner = kOwn;
  survey_control(control, config, transformer).check(control.where());
}

void check_finite(const Tensor& scales, const std::string& weight, const std::string& where) {
  const std::int64_t per_row = scales.numel() / scales.dim(0);
  for (std::int64_t i = 0; i < scales.numel(); ++i) {
    check(is_finite(scales, i), where, ": row ", i / per_row, " of ", printable(weight),
          " holds values that are not finite, or too far apart for f32");
  }
}

}  // namespace zimage
