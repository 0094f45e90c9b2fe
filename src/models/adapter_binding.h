#pragma once

#include <map>
#include <string>

#include "layers/adapters.h"
#include "models/adapter_file.h"
#include "zimage/adapters.h"

namespace zimage {

// The shapes of a model's weights, [out, in] or [n], by the names of their modules.
using ModuleShapes = std::map<std::string, Shape>;

// Adds to `set` what the file does to modules of the model; nothing at scale 0. Throws Error for
// changes that do not fit their modules, two of one module, damaged numbers, and where no module of
// the file is the model's; with is_strict, where one is not.
AppliedAdapter bind_adapter(const AdapterFile& file, const ModuleShapes& model, float scale,
                            bool is_strict, AdapterSet& set);

// The same without a model: what the file holds.
AppliedAdapter survey_adapter(const AdapterFile& file);

}  // namespace zimage
