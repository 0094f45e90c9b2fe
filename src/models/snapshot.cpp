#include "models/snapshot.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/check.h"

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

// A shard's name as an index gives it; it may repeat the component's folder, and names only files
// in it.
fs::path shard_path(const fs::path& folder, const fs::path& index, const std::string& shard) {
  const std::string prefix = folder.filename().string() + "/";
  const std::string name = shard.starts_with(prefix) ? shard.substr(prefix.size()) : shard;
  const bool is_plain = !name.empty() && name != "." && name != ".." &&
                        name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  check(is_plain, index.string(), ": shard ", shard, " is not a file name of this folder");
  const fs::path path = folder / name;
  std::error_code error;
  check(fs::is_regular_file(path, error), index.string(), " names ", name,
        ", which is missing; download it again");
  return path;
}

std::vector<fs::path> indexed_files(const fs::path& folder, const fs::path& index) {
  const Json weight_map = Json::parse_file(index).object("weight_map");
  std::set<std::string> shards;
  for (const std::string& tensor : weight_map.keys()) {
    shards.insert(weight_map.get<std::string>(tensor));
  }
  check(!shards.empty(), index.string(), ": weight_map is empty");
  std::set<fs::path> files;
  for (const std::string& shard : shards) files.insert(shard_path(folder, index, shard));
  return {files.begin(), files.end()};
}

}  // namespace

Snapshot Snapshot::open(const fs::path& root) {
  std::error_code error;
  check(fs::exists(root, error), root.string(), ": no such folder");
  check(fs::is_directory(root, error), root.string(),
        " is no folder; expected a snapshot with model_index.json, transformer/, text_encoder/, "
        "tokenizer/, vae/ and scheduler/");
  const Snapshot snapshot(root);
  check_file(root / "model_index.json", "model_index.json in its top folder");
  for (const Component& c : kComponents) {
    check_file(root / c.folder / c.config, str(c.folder, "/", c.config));
    if (!c.weights.empty()) (void)snapshot.weight_files(std::string(c.folder));
  }
  check_file(root / "tokenizer" / "tokenizer.json", "tokenizer/tokenizer.json");

  const Json index = snapshot.model_index();
  const auto pipeline = index.get_or<std::string>("_class_name", "ZImagePipeline");
  check(pipeline.starts_with("ZImage"), index.where(), ": _class_name is ", pipeline,
        ", expected ZImagePipeline");
  return snapshot;
}

Json Snapshot::config_of(const std::string& component) const {
  const Component& c = component_named(component);
  return Json::parse_file(root_ / c.folder / c.config);
}

Json Snapshot::model_index() const { return Json::parse_file(root_ / "model_index.json"); }

std::vector<fs::path> Snapshot::weight_files(const std::string& component) const {
  const Component& c = component_named(component);
  const fs::path folder = root_ / c.folder;
  const std::string base = str(c.weights, ".safetensors");
  std::error_code error;
  if (const fs::path index = folder / (base + ".index.json"); fs::exists(index, error)) {
    return indexed_files(folder, index);
  }
  check(fs::is_regular_file(folder / base, error), folder.string(), ": no weights; expected ", base,
        " or ", base, ".index.json with its shards");
  return {folder / base};
}

}  // namespace zimage
