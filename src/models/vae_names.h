#pragma once

#include <set>
#include <string>

namespace zimage {

// Resolution stages of a CompVis decoder: decoder.up.0 to decoder.up.(n - 1).
int compvis_stages(const std::set<std::string>& names, const std::string& prefix);

// The diffusers name of a tensor of an AutoencoderKL that CompVis' code (and ComfyUI) named:
// decoder.up.3.block.0.conv1.weight is decoder.up_blocks.0.resnets.0.conv1.weight with four stages.
// Names of another kind come back as they are.
std::string vae_name_of_compvis(const std::string& name, int stages);

}  // namespace zimage
