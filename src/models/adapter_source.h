// Where an adapter's file is.
#pragma once

#include <filesystem>

#include "zimage/adapters.h"
#include "zimage/models.h"

namespace zimage {

// The .safetensors file; what is not on this machine is downloaded. Throws Error naming the
// candidates where there are several, and what was found and expected otherwise. `options`: for
// downloads.
std::filesystem::path find_adapter(const AdapterOptions& adapter, const ModelOptions& options);

}  // namespace zimage
