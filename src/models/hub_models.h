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

}  // namespace zimage
