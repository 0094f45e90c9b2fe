#pragma once

#include <filesystem>
#include <functional>

#include "hub/hub.h"
#include "zimage/models.h"

namespace zimage {

// The folder of a hub model with the files that match: from the cache when it is whole there,
// else downloaded. `is_whole` decides for caches without a listing.
std::filesystem::path hub_snapshot(
    const hub::Spec& spec, const hub::Patterns& patterns, const ModelOptions& options,
    const std::function<bool(const std::filesystem::path&)>& is_whole);

// The hub as the environment names it, with the caller's wish to stop.
hub::Options hub_options(const ModelOptions& options);

// hub::download() with the caller's progress.
std::filesystem::path fetch_files(const hub::Spec& spec, const hub::Listing& listing,
                                  const hub::Patterns& patterns, const hub::Options& from,
                                  const ModelOptions& options);

// The folder in the cache with the files that `patterns_of` picks from a repository's listing; what
// is missing is downloaded. Without the hub it is enough that the cache tells the choice; in a
// cache without a listing a file that is named is taken when all that is wanted with it is there.
// wanted: the file that the user named, or empty.
std::filesystem::path chosen_files(
    const hub::Spec& spec, const std::string& wanted,
    const std::function<hub::Patterns(const hub::Listing&)>& patterns_of,
    const ModelOptions& options);

// The checkpoint file in the cache that choose_checkpoint() picks of a repository.
std::filesystem::path hub_checkpoint(const hub::Spec& spec, const std::string& file,
                                     const std::string& what, const ModelOptions& options);

// Whether a repository is no snapshot but holds checkpoint files. Asks the cache first, and the hub
// where the cache leaves it open.
bool is_checkpoint_repository(const hub::Spec& spec, const ModelOptions& options);

}  // namespace zimage
