#include "pipeline/survey.h"

#include "models/component_weights.h"
#include "text_encoder/text_encoder.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

WeightSurvey survey(WeightMap weights, const Snapshot& snapshot, const std::string& component) {
  WeightSurvey result;
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

WeightSurvey survey_control(WeightMap weights, const ControlNetConfig& config,
                            const TransformerConfig& transformer) {
  WeightSurvey result;
  weights.begin_survey(result);
  const ControlNet probe(config, transformer, weights, Dtype::kBf16);
  return result;
}

WeightSurvey survey(const Snapshot& snapshot, const std::string& component) {
  return survey(load_weights(snapshot, component), snapshot, component);
}

}  // namespace zimage
