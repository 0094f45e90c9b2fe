#include "models/component_files.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/check.h"
#include "io/printable.h"
#include "models/checkpoint_file.h"
#include "models/checkpoint_names.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const CheckpointFile& file) {
  std::set<std::string> names;
  for (const auto& [name, entry] : file.tensors()) names.insert(name);
  return names;
}

std::string kind_of_names(const std::set<std::string>& names) {
  const auto has = [&](std::string_view part) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.find(part) != name.npos; });
  };
  if (has("lora_A.") || has("lora_down.") || has(".lokr_w1") || has(".hada_w1")) {
    return "a LoRA adapter";
  }
  if (has("control_layers.")) return "a ControlNet";
  return "no Z-Image transformer, text encoder or VAE";
}

// What a GGUF file says that it holds: a hint for people only, as many files say another thing.
std::string kind_of_gguf(const CheckpointFile& file) {
  const auto said = file.metadata().find("general.architecture");
  if (said == file.metadata().end()) return "a GGUF file of another model";
  return str("a GGUF file of the architecture ", printable(said->second));
}

std::vector<ComponentLayout> layouts_in(const fs::path& file) {
  return find_components(names_in(CheckpointFile::open(file)), file.string());
}

std::vector<fs::path> checkpoints_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it.depth() >= 1) it.disable_recursion_pending();
    if (is_checkpoint_name(it->path()) && it->is_regular_file(ignored)) {
      files.push_back(it->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string kind_of_other_file(const fs::path& file) {
  const CheckpointFile opened = CheckpointFile::open(file);
  return opened.is_gguf() ? kind_of_gguf(opened) : kind_of_names(names_in(opened));
}

ComponentFiles components_in_file(const fs::path& file) {
  ComponentFiles components;
  for (const ComponentLayout& layout : layouts_in(file)) components[layout.component] = file;
  check(!components.empty(), file.string(), " is ", kind_of_other_file(file),
        "; expected a checkpoint that holds a Z-Image transformer, text encoder or VAE");
  return components;
}

ComponentFiles components_in_folder(const fs::path& folder, const ComponentFiles& named) {
  ComponentFiles components;
  for (const fs::path& file : checkpoints_below(folder)) {
    for (const ComponentLayout& layout : layouts_in(file)) {
      if (named.contains(layout.component)) continue;
      const auto [it, is_new] = components.try_emplace(layout.component, file);
      check(is_new, folder.string(), ": ", it->second.filename().string(), " and ",
            file.filename().string(), " both hold a ", layout.component,
            "; name the one to use as the model, or with --transformer, --text-encoder, --vae");
    }
  }
  check(!components.empty() || !named.empty(), folder.string(),
        " is no model: expected transformer/, text_encoder/ and vae/ with their config.json, or "
        ".safetensors or .gguf files that hold them");
  return components;
}

void check_holds(const fs::path& file, const std::string& component) {
  const ComponentFiles found = components_in_file(file);
  if (found.contains(component)) return;
  std::string names;
  for (const auto& [name, path] : found) names += (names.empty() ? "" : ", ") + name;
  throw Error(str(file.string(), " holds no ", component, "; it holds ", names));
}

}  // namespace zimage
