#pragma once

#include <string>

#include "layers/weights.h"
#include "models/snapshot.h"
#include "transformer/controlnet.h"

namespace zimage {

// Builds a component on zeros, by headers and configuration alone, and notes what it asks for.
WeightSurvey survey(const Snapshot& snapshot, const std::string& component);
// The same on weights that are loaded; the caller's stay as they are.
WeightSurvey survey(WeightMap weights, const Snapshot& snapshot, const std::string& component);
// A control network's, for a transformer of that configuration.
WeightSurvey survey_control(WeightMap weights, const ControlNetConfig& config,
                            const TransformerConfig& transformer);

}  // namespace zimage
