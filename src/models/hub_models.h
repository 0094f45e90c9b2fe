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

}  // namespace zimage
