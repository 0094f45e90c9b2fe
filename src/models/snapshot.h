#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/json.h"

namespace zimage {

// A model in the published folder layout: model_index.json, scheduler/scheduler_config.json,
// tokenizer/tokenizer.json and a config.json beside the weights of transformer/, text_encoder/,
// vae/.
class Snapshot {
 public:
  // Throws Error naming what is missing, or what kind of pipeline this is when it is no Z-Image.
  static Snapshot open(const std::filesystem::path& root);

  const std::filesystem::path& root() const { return root_; }
  // "transformer", "text_encoder", "vae", "scheduler": the component's configuration.
  Json config_of(const std::string& component) const;
  Json model_index() const;
  // Weight files of a component: the shards its index names, else its single file. Throws Error
  // for an index that names a missing file or one outside the component's folder.
  std::vector<std::filesystem::path> weight_files(const std::string& component) const;
  std::filesystem::path tokenizer_dir() const { return root_ / "tokenizer"; }

 private:
  explicit Snapshot(std::filesystem::path root) : root_(std::move(root)) {}
  std::filesystem::path root_;
};

}  // namespace zimage
