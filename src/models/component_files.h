#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace zimage {

// Component -> the file that holds it.
using ComponentFiles = std::map<std::string, std::filesystem::path>;

// The components that a checkpoint file holds, told by its tensors. Throws Error for a file that
// holds none, saying what it seems to be.
ComponentFiles components_in_file(const std::filesystem::path& file);

// The same for the .safetensors and .gguf files in a folder and the folders below it
// (diffusion_models/, text_encoders/, vae/ as ComfyUI has them). Files without any component are
// left out. Throws Error when two files hold the same component, naming both, and when no file
// holds any. Components that are `named` are not looked for.
ComponentFiles components_in_folder(const std::filesystem::path& folder,
                                    const ComponentFiles& named);

// Throws Error unless `file` holds the component.
void check_holds(const std::filesystem::path& file, const std::string& component);

// "a LoRA adapter", "a ControlNet", "a GGUF file of the architecture flux", ...: what a file
// without components seems to be.
std::string kind_of_other_file(const std::filesystem::path& file);

}  // namespace zimage
