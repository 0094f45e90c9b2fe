#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace zimage {

// Bytes of a file that the system does not hold in memory. 0 for a file of another user, of which
// the system does not tell. Throws Error for one that cannot be opened.
std::uint64_t uncached_bytes(const std::filesystem::path& path);

// Bytes per second at which large files come from their disk, past the system's cache where it lets
// us; by reading 64 MiB, spread over them. 0: unknown, for files that are too small to tell.
double measure_read_rate(const std::vector<std::filesystem::path>& paths);

}  // namespace zimage
