#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace zimage {

// Owns a file descriptor.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.release()) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle() { close(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release();
  void close();

 private:
  int fd_ = -1;
};

struct OpenFile {
  FileHandle handle;
  struct stat info {};
};

// For reading. Throws Error for what is missing, unreadable or no regular file; never waits for a
// writer at the other end of a pipe.
OpenFile open_regular_file(const std::filesystem::path& path);

// Throws Error for a path with a NUL inside, which the system would silently cut there.
void check_path(const std::filesystem::path& path);

std::string shown(const std::filesystem::path& path);  // for messages
std::string error_text(int errno_value);               // "No such file or directory"

}  // namespace zimage
