#pragma once

#include <functional>
#include <string>

#include "hub/hub.h"

namespace zimage::hub {

// Fetches one file into blobs/ unless it is there: under the lock that the Python client uses,
// going on behind what an earlier try left, verified before the rename. on_bytes gets what was
// received, negative when it has to be fetched again.
void fetch_blob(const Spec& spec, const std::string& commit, const File& file,
                const Options& options, const std::function<void(std::int64_t)>& on_bytes);

// Bytes in blobs/ already: of the whole file, or of what an earlier try left.
std::uint64_t bytes_there(const Spec& spec, const File& file, const Options& options);

}  // namespace zimage::hub
