#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "io/open_file.h"

namespace zimage {

// A regular file mapped read-only. When another process truncates it while mapped, reads past the
// new end see zeros instead of a crash, and check_intact() throws. (The first file opened installs
// a SIGBUS handler; faults outside mapped files go on to the handler that was there before.)
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  // Throws Error for what is missing, unreadable or no regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Throws Error naming the file once it is shorter than when opened, was written to, or a read hit
  // a part that could not be read.
  void check_intact() const;
  // The pages of the file, or of a part of it, no longer count as this process's memory; they are
  // read again on use.
  void release_pages() const { release_pages(bytes()); }
  void release_pages(std::span<const std::byte> part) const;
  // The system starts to read a part from the disk, so that it is there when it is used.
  void read_ahead(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  FileHandle handle_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::int64_t modified_ns_ = 0;  // time of the last write when opened
  int slot_ = -1;                 // in the table that the SIGBUS handler reads
};

}  // namespace zimage
