#pragma once

#include <string>

#include "models/preset.h"
#include "models/snapshot.h"
#include "zimage/models.h"

namespace zimage {

struct ResolvedModel {
  Snapshot snapshot;
  Family family;
};

// From what the user wrote to a set of files that are there; downloads what is missing. Throws
// Error naming the model, what was found and what was expected.
ResolvedModel resolve_model(const std::string& model, const ModelOptions& options);

}  // namespace zimage
