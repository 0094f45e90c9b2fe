#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"

namespace zimage {

// The parts of a model that have weights, by the names of their folders.
inline constexpr std::array<std::string_view, 3> kWeightComponents{"transformer", "text_encoder",
                                                                   "vae"};

struct SnapshotOptions {
  std::string weights_variant;  // "fp16", "bf16", ...; empty: the plain files
  // Component -> file that replaces its weights (a ComfyUI or diffusers checkpoint); the folder's
  // own weights of that component need not be there.
  std::map<std::string, std::filesystem::path> weight_files = {};
};

// A model in the published folder layout: model_index.json, scheduler/scheduler_config.json,
// tokenizer/tokenizer.json and a config.json beside the weights of transformer/, text_encoder/,
// vae/.
class Snapshot {
 public:
  // Throws Error naming what is missing, or what kind of pipeline this is when it is no Z-Image.
  static Snapshot open(const std::filesystem::path& root, const SnapshotOptions& options = {});

  // Throws Error unless model_index.json there is of a Z-Image pipeline.
  static void check_class(const std::filesystem::path& folder);

  // Whether a folder is meant as a snapshot, perhaps one that lacks something: it has
  // the config.json of all components, or some of them or model_index.json and no checkpoint files.
  static bool is_snapshot(const std::filesystem::path& folder);

  const std::filesystem::path& root() const { return root_; }
  // "transformer", "text_encoder", "vae", "scheduler": the component's configuration.
  Json config_of(const std::string& component) const;
  // The files that hold a component's weights, and perhaps other components' too.
  const std::vector<std::filesystem::path>& weight_files(const std::string& component) const;
  std::filesystem::path tokenizer_dir() const { return root_ / "tokenizer"; }

 private:
  Snapshot(std::filesystem::path root, const SnapshotOptions& options);
  void find_weights(const SnapshotOptions& options);

  std::filesystem::path root_;
  std::map<std::string, std::vector<std::filesystem::path>> weight_files_;
};

}  // namespace zimage
