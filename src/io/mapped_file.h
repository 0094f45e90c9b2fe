#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace zimage {

// A regular file mapped read-only. When another process truncates it while mapped, reads past the
// new end see zeros instead of a crash, and check_intact() throws.
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  // Throws Error for what is missing, unreadable or no regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  void check_intact() const;  // throws Error naming the file once a read hit the missing part
  void release_pages() const; // the system may drop what it has cached of this mapping

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int slot_ = -1;  // in the table that the SIGBUS handler reads
};

}  // namespace zimage
