#include "pipeline/survey.h"

#include "core/check.h"
#include "models/component_weights.h"
#include "text_encoder/text_encoder.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

WeightSurvey survey(const Snapshot& snapshot, const std::string& component) {
  WeightSurvey result;
  WeightMap weights = load_weights(snapshot, component);
  weights.begin_survey(result);
  const Json config = snapshot.config_of(component);
  if (component == "transformer") {
    const Transformer probe(TransformerConfig::from_json(config), weights, Dtype::kBf16);
  } else if (component == "text_encoder") {
    const TextEncoder probe(TextEncoderConfig::from_json(config), weights, Dtype::kBf16);
  } else {
    const VaeDecoder decoder(VaeConfig::from_json(config), weights, Dtype::kBf16);
    if (weights.has("encoder.conv_in.weight")) {  // text to image does without
      const VaeEncoder encoder(VaeConfig::from_json(config), weights, Dtype::kBf16);
    }
  }
  return result;
}

void check_not_quantized(const WeightMap& weights) {
  for (const std::string& name : weights.names()) {
    const Tensor* const tensor = weights.find(name);
    check(tensor != nullptr && tensor->dtype() != Dtype::kI8, weights.where(), ": ", name,
          " is quantised already; expected a model in bf16, f16 or f32");
  }
}

void check_quantizable(const Snapshot& snapshot, const std::string& component) {
  const WeightMap weights = load_weights(snapshot, component);
  check_not_quantized(weights);
  survey(snapshot, component).check(weights.where());
}

}  // namespace zimage
