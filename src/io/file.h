#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "io/open_file.h"

namespace zimage {

// Whole file. Throws Error when it is missing, no regular file or larger than max_bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t max_bytes);

// `path` appears complete or not at all: written to a temporary name beside it, flushed to disk,
// renamed. What `path` held before stays when anything fails. The folder must exist. Where `path`
// is a symbolic link, the link is replaced and the file that it led to stays as it is.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

// The same in pieces: nothing appears at `path` before commit().
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path);
  ~NewFile();  // removes the temporary file unless committed
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  FileHandle handle_;
};

// Throws Error unless a file of `bytes` can be written at `path` (parents are created; an existing
// folder at path, a missing right to write and a full disk are errors). Leaves no file behind, and
// no folder that was not there before when it throws.
void check_writable(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace zimage
