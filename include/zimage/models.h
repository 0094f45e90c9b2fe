#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "zimage/error.h"

namespace zimage {

struct DownloadProgress {
  int files_done = 0, files = 0;
  std::uint64_t bytes_done = 0, bytes = 0;
};

// How a model that is named by a text is found. Texts are: nothing (the default, Turbo), an alias
// ("turbo", "base", "turbo-8bit", "demo"), a hub id with or without ":revision" and ":FILE", a
// snapshot folder, a .safetensors or .gguf file, or a folder of such files. An existing path wins
// over everything else.
struct ModelOptions {
  std::string weights_variant = {};  // "fp16", "bf16", ...; empty: the plain files
  // Where configurations, tokenizer and missing weights come from when the model is a file; empty:
  // the published model of the family that the file's name tells.
  std::string base_model = {};
  // Checkpoint files that replace a component's weights, of this machine or "org/name:FILE" on the
  // hub; empty: the model's own.
  std::filesystem::path transformer = {}, text_encoder = {}, vae = {};
  // Control network: a .safetensors file, a folder or a hub id; empty: none. control_file picks a
  // file of a folder or repository that holds several.
  std::string controlnet = {}, control_file = {};
  std::function<void(const DownloadProgress&)> on_download = {};
  std::function<bool()> is_cancelled = {};  // true makes a download throw Cancelled
};

struct DownloadItem {
  std::string path;
  std::uint64_t bytes;
  bool is_cached;
};

struct DownloadPlan {
  std::string repo, commit;
  std::filesystem::path folder;  // of the snapshot in the cache
  std::vector<DownloadItem> items;
};

// What download_model() would fetch; asks the hub. Throws Error in words.
DownloadPlan plan_download(const std::string& model, const ModelOptions& options = {});

// Fetches a hub model into the Hugging Face cache; returns its snapshot folder, or the file that is
// named or stands alone in a repository of .gguf files. Of several checkpoint files without
// model_index.json one has to be named.
std::filesystem::path download_model(const std::string& model, const ModelOptions& options = {});

struct ModelEntry {
  std::string alias, id, description;  // alias and description of known models only
  std::string state;                   // "ready", "incomplete", "not downloaded", "built in"
  std::filesystem::path folder;        // empty when there is none
  std::uint64_t bytes = 0;             // on disk
};

// The known models, then what else of Z-Image the Hugging Face cache holds. No network.
std::vector<ModelEntry> list_models();

// What a snapshot folder or a checkpoint file is: kind, components with files, dtypes, parameters,
// configuration, and what is missing, of another shape or surplus. One JSON object. Reads headers
// only. Throws Error for a path that does not exist or a file that is broken.
std::string inspect_model(const std::filesystem::path& path);

}  // namespace zimage
