// Which files of a folder or hub repository make a control network.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub.h"
#include "zimage/models.h"

namespace zimage {

inline constexpr std::string_view kControlConfig = "config.json";
inline constexpr std::string_view kControlWeights = "diffusion_pytorch_model";

// What the caller calls the network and the choice of one of its files, for messages.
struct ControlFlags {
  std::string_view network = "--controlnet-weights", file = "--control-file";
};

// From the names in the top folder: the file that `wanted` names or the only .safetensors file, or
// "" for a network as diffusers saves it, config.json with diffusion_pytorch_model in `variant`
// (normalized; empty: the plain files). Throws Error where the choice is open, naming the
// candidates, or where there is nothing to choose from. `where` is for messages.
std::string choose_control_file(const std::vector<std::string>& names, const std::string& wanted,
                                const std::string& variant, const std::string& where,
                                const ControlFlags& flags);

// The folder in the cache with the files that choose_control_file() picks of a repository; what is
// missing is downloaded. Without the network it is enough that the cache tells the choice.
std::filesystem::path control_repository(const hub::Spec& spec, const ModelOptions& options,
                                         const ControlFlags& flags);

}  // namespace zimage
