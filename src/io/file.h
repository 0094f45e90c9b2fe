#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace zimage {

// Whole file. Throws Error when it is missing, no regular file or larger than max_bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t max_bytes);

// `path` appears complete or not at all: written to a temporary name beside it, flushed to disk,
// renamed. What `path` held before stays when anything fails.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

// Throws Error unless a file of `bytes` can be written at `path` (parents are created; an existing
// folder at path, a missing right to write and a full disk are errors). Leaves no file behind.
void check_writable(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace zimage
