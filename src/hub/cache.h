#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub.h"

namespace zimage::hub {

// models--ORG--NAME in the cache.
std::filesystem::path repo_folder(const Spec& spec, const Options& options);

// The commit of the revision, from its name or from refs/; without a revision and without refs/main
// all that are there, sorted.
std::vector<std::string> cached_commits(const Spec& spec, const Options& options);
void write_ref(const Spec& spec, const std::string& commit, const Options& options);

// The listing kept beside the snapshots, in the Python client's format.
std::optional<Listing> read_tree(const Spec& spec, const std::string& commit,
                                 const Options& options);
void write_tree(const Spec& spec, const Listing& listing, const Options& options);

// Puts a relative link to the blob at the file's place in the snapshot; where the file system has
// no links, the blob itself.
void link_into_snapshot(const Spec& spec, const std::string& commit, const File& file,
                        const Options& options);

// Creates folders; a file in their place is an error.
void create_folders(const std::filesystem::path& folder);

// Creates the folder too; the file appears by rename.
void write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace zimage::hub
