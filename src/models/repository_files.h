// Which files of a repository on the hub are meant.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hub/hub.h"

namespace zimage {

// Paths inside the repository, sorted.
std::vector<std::string> names_of(const hub::Listing& listing);
// What lies in a snapshot's folder: paths and sizes, nothing else.
hub::Listing listing_of(const std::filesystem::path& folder);
bool lists(const hub::Listing& listing, const std::string& path);

// Checkpoint files without model_index.json: each stands for itself.
bool is_of_checkpoint_files(const hub::Listing& listing);

// Of a repository without model_index.json: a single .safetensors file, or only files named as
// diffusers names those of a control network. They are fetched whole, with their configurations.
bool is_one_network(const hub::Listing& listing);

// The checkpoint file (.safetensors or .gguf) that `wanted` names or, where that is empty, the only
// one. Throws Error naming the candidates and their sizes; `what`: what the user wrote, for
// messages.
std::string choose_checkpoint(const hub::Listing& listing, const std::string& wanted,
                              const std::string& repo, const std::string& what);

}  // namespace zimage
