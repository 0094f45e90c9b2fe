#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace zimage {

// What a user wrote to name a model, sorted into kinds without touching the network.
struct ModelSpec {
  enum class Kind { kHub, kFolder, kFile, kDemo };
  Kind kind;
  std::string repo, revision;  // kHub; revision empty when not given
  std::string file;            // kHub: a checkpoint file in the repository; empty: all of it
  std::filesystem::path path;  // kFolder, kFile
};

// Empty text is the default model. An existing path wins over everything else, "~" and file:// are
// understood. Throws Error: a path that does not exist, a name that is neither known nor a hub id.
ModelSpec parse_model_spec(const std::string& text);

// "org/name", "org/name:revision", "org/name:FILE" or "org/name:revision:FILE", where FILE ends
// with .safetensors or .gguf; nothing for other text. Throws Error for a revision that is none.
std::optional<ModelSpec> parse_hub_spec(const std::string& text);

// "org/name", each part of letters, digits, '-', '_' and '.', and org not a word that folders have.
bool is_hub_id(const std::string& text);

// "~/x" with the home folder, "file:///a%20b" as a plain path; other text as it is. Throws Error
// for a file:// address of another host or with a broken escape.
std::filesystem::path expanded_path(const std::string& text);

}  // namespace zimage
