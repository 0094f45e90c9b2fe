#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/component_weights.h"
#include "models/control_repository.h"
#include "zimage/models.h"

namespace zimage {

// The files of a control network.
struct ControlFiles {
  std::vector<std::filesystem::path> weights;  // one file, or shards in order
  std::filesystem::path config;                // diffusers' config.json; empty when there is none
};

// From what the user wrote: a .safetensors file, a folder or a hub id with or without ":revision".
// `control_file` picks one of the .safetensors files of a folder or repository, which is needed
// where there are several. Downloads what is missing and looks at the headers. Throws Error naming
// the candidates where the choice is open, and what was found and expected otherwise.
ControlFiles resolve_control(const ModelOptions& options, const ControlFlags& flags = {});

// Mapped, not read. A controlnet_quantization.json beside the files tells MLX's formats.
WeightMap load_control(const ControlFiles& files);
// By the headers alone.
std::vector<StoredTensor> stored_tensors(const ControlFiles& files);

}  // namespace zimage
