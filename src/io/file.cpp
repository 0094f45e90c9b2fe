#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/check.h"
#include "io/new_folder.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// A rename would replace a device (-o /dev/null, as root) by a regular file.
void check_target(const fs::path& path) {
  check_path(path);
  check(path.has_filename(), shown(path), ": names a folder, expected the name of a file");
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return;
  check(!S_ISDIR(info.st_mode), shown(path), ": is a folder, expected the name of a file");
  check(S_ISREG(info.st_mode), shown(path),
        ": is no regular file; choose another name to write to");
}

// An empty file of a new name in `folder`.
FileHandle create_temporary(const fs::path& folder, fs::path& name) {
  int file = -1;
  name = make_with_new_name(folder, [&](const fs::path& path) {
    file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return file >= 0;
  });
  return FileHandle(file);
}

void sync_folder(const fs::path& folder) {
  // Best effort: some file systems cannot, and the file itself is complete already.
  const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.is_open()) ::fsync(handle.get());
}

}  // namespace

std::vector<std::byte> read_file(const fs::path& path, std::size_t max_bytes) {
  const OpenFile file = open_regular_file(path);
  const auto size = static_cast<std::size_t>(file.info.st_size);
  const auto check_size = [&](std::size_t found) {
    check(found <= max_bytes, shown(path), ": has ", found, " bytes or more, expected at most ",
          max_bytes);
  };
  check_size(size);

  constexpr std::size_t kStep = 64 << 10;  // a file may grow, and those of /proc state no size
  std::vector<std::byte> bytes(size + 1);
  std::size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) bytes.resize(filled + kStep);
    const ssize_t n = ::read(file.handle.get(), bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    check(n >= 0, shown(path), ": cannot be read: ", error_text(errno));
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
    check_size(filled);
  }
  bytes.resize(filled);
  return bytes;
}

void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  NewFile file(path);
  file.write(bytes);
  file.commit();
}

NewFile::NewFile(const fs::path& path) : path_(path) {
  check_target(path);
  handle_ = create_temporary(folder_of(path), temporary_);
  check(handle_.is_open(), shown(path), ": cannot be written: ", error_text(errno), " (folder ",
        shown(folder_of(path)), ")");
}

NewFile::~NewFile() {
  if (handle_.is_open()) ::unlink(temporary_.c_str());
}

void NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(handle_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, shown(path_), ": cannot be written: ", error_text(n < 0 ? errno : ENOSPC));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void NewFile::commit() {
  int failed = 0;
  do {
    failed = ::fsync(handle_.get());
  } while (failed != 0 && errno == EINTR);
  check(failed == 0, shown(path_), ": cannot be written: ", error_text(errno));
  check_target(path_);
  check(::rename(temporary_.c_str(), path_.c_str()) == 0, shown(path_),
        ": cannot be written: ", error_text(errno));
  handle_.close();
  sync_folder(folder_of(path_));
}

void check_writable(const fs::path& path, std::uint64_t bytes) {
  check_target(path);
  ParentFolders folders(folder_of(path));
  { const NewFile probe(path); }
  check_space(folder_of(path), bytes, path);
  folders.keep();
}

}  // namespace zimage
