#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/hub.h"
#include "zimage/models.h"

namespace zimage {

// The folder of a hub model with the files that match: from the cache when it is whole there,
// else downloaded. `is_whole` decides for caches without a listing.
std::filesystem::path hub_snapshot(
    const hub::Spec& spec, const hub::Patterns& patterns, const ModelOptions& options,
    const std::function<bool(const std::filesystem::path&)>& is_whole);

// The folder of a hub repository with the files that `choose` picks from the names of all files.
// From the cache where `is_enough` says so of the folder there, and offline in any case.
std::filesystem::path hub_files(
    const hub::Spec& spec, const ModelOptions& options,
    const std::function<bool(const std::filesystem::path&)>& is_enough,
    const std::function<hub::Patterns(const std::vector<std::string>& names)>& choose);

}  // namespace zimage
