#include "models/snapshot.h"

#include <algorithm>

#include "core/check.h"
#include "core/log.h"
#include "models/checkpoint_file.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

struct Component {
  std::string_view folder;
  std::string_view config;
  std::string_view weights;  // file name without .safetensors; empty: no weights
};

constexpr std::array<Component, 4> kComponents{
    {{"transformer", "config.json", "diffusion_pytorch_model"},
     {"text_encoder", "config.json", "model"},
     {"vae", "config.json", "diffusion_pytorch_model"},
     {"scheduler", "scheduler_config.json", ""}}};

const Component& component_named(std::string_view name) {
  const auto it = std::find_if(kComponents.begin(), kComponents.end(),
                               [&](const Component& c) { return c.folder == name; });
  check(it != kComponents.end(), "no component is named ", name);
  return *it;
}

void check_file(const fs::path& path, std::string_view what) {
  std::error_code error;
  check(fs::is_regular_file(path, error), path.string(), " is missing: a Z-Image snapshot holds ",
        what);
}

bool holds_checkpoint_files(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_checkpoint_name(it->path())) return true;
  }
  return false;
}

}  // namespace

Snapshot::Snapshot(fs::path root, const SnapshotOptions& options) : root_(std::move(root)) {
  std::error_code error;
  check(fs::exists(root_, error), root_.string(), ": no such folder");
  check(fs::is_directory(root_, error), root_.string(),
        " is no folder; expected a snapshot with model_index.json, transformer/, text_encoder/, "
        "tokenizer/, vae/ and scheduler/");
  check_file(root_ / "model_index.json", "model_index.json in its top folder");
  for (const Component& c : kComponents) {
    check_file(root_ / c.folder / c.config, str(c.folder, "/", c.config));
  }
  check_file(root_ / "tokenizer" / "tokenizer.json", "tokenizer/tokenizer.json");
  find_weights(options);
}

void Snapshot::find_weights(const SnapshotOptions& options) {
  const std::string variant = normalized_variant(options.weights_variant);
  std::string missing;
  for (const Component& c : kComponents) {
    if (c.weights.empty()) continue;
    const std::string name(c.folder);
    if (const auto own = options.weight_files.find(name); own != options.weight_files.end()) {
      weight_files_[name] = {own->second};
      continue;
    }
    WeightFiles found = find_weight_files(root_ / c.folder, std::string(c.weights), variant);
    if (!found.note.empty()) log_info(found.note);
    check(!found.files.empty() || !variant.empty(), (root_ / c.folder).string(),
          ": no weights; expected ", c.weights, ".safetensors or ", c.weights,
          ".safetensors.index.json with its shards");
    if (found.files.empty()) missing += (missing.empty() ? "" : ", ") + name;
    weight_files_[name] = std::move(found.files);
  }
  check(missing.empty(), root_.string(), " has no weights of the variant ", variant, " for ",
        missing, "; without --weights-variant the plain files are used");
}

Snapshot Snapshot::open(const fs::path& root, const SnapshotOptions& options) {
  Snapshot snapshot(root, options);
  check_class(root);
  return snapshot;
}

void Snapshot::check_class(const fs::path& folder) {
  const Json index = Json::parse_file(folder / "model_index.json");
  const auto pipeline = index.get_or<std::string>("_class_name", "ZImagePipeline");
  check(pipeline.starts_with("ZImage"), index.where(), ": _class_name is ", pipeline,
        ", expected ZImagePipeline");
}

bool Snapshot::is_snapshot(const fs::path& folder) {
  const auto has = [&](const fs::path& file) {
    std::error_code error;
    return fs::is_regular_file(folder / file, error);
  };
  const auto configs =
      std::count_if(kWeightComponents.begin(), kWeightComponents.end(),
                    [&](std::string_view c) { return has(fs::path(c) / "config.json"); });
  if (configs == std::ssize(kWeightComponents)) return true;
  return (configs > 0 || has("model_index.json")) && !holds_checkpoint_files(folder);
}

Json Snapshot::config_of(const std::string& component) const {
  const Component& c = component_named(component);
  return Json::parse_file(root_ / c.folder / c.config);
}

const std::vector<fs::path>& Snapshot::weight_files(const std::string& component) const {
  const auto it = weight_files_.find(component);
  check(it != weight_files_.end(), "no component with weights is named ", component);
  return it->second;
}

}  // namespace zimage
