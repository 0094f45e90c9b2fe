#include "io/file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <system_error>

#include "core/check.h"

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

// An empty file of a new name in `folder`, short so that it fits where any name fits.
FileHandle create_temporary(const fs::path& folder, fs::path& name) {
  constexpr int kAttempts = 100;
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%08x%08x", random(), random());
    name = folder / str(".zimage-", digits, ".tmp");
    FileHandle handle(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (handle.is_open() || (errno != EEXIST && errno != EINTR)) return handle;
  }
  return {};
}

void sync_folder(const fs::path& folder) {
  // Best effort: some file systems cannot, and the file itself is complete already.
  const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.is_open()) ::fsync(handle.get());
}

// The folders that it makes; all of them are removed again unless kept.
class NewFolders {
 public:
  explicit NewFolders(const fs::path& folder) {
    std::vector<fs::path> missing;
    std::error_code ignored;
    for (fs::path p = folder; !p.empty() && !fs::exists(p, ignored); p = p.parent_path()) {
      missing.push_back(p);
      if (p == p.parent_path()) break;
    }
    for (auto p = missing.rbegin(); p != missing.rend(); ++p) make(*p);
  }
  ~NewFolders() { remove(); }
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  void keep() { made_.clear(); }

 private:
  void make(const fs::path& folder) {
    if (::mkdir(folder.c_str(), 0777) == 0) {
      made_.push_back(folder);
      return;
    }
    const int error = errno;
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) return;  // "a/.", or another process was faster
    remove();
    throw Error(str(shown(folder), ": the folder cannot be created: ", error_text(error),
                    "; choose another place to write to"));
  }
  void remove() {
    for (auto p = made_.rbegin(); p != made_.rend(); ++p) ::rmdir(p->c_str());
    made_.clear();
  }
  std::vector<fs::path> made_;
};

void check_space(const fs::path& path, std::uint64_t bytes) {
  struct statvfs disk {};
  if (::statvfs(folder_of(path).c_str(), &disk) != 0) return;  // not every file system can tell
  std::uint64_t room = 0;
  if (__builtin_mul_overflow(std::uint64_t{disk.f_bavail}, std::uint64_t{disk.f_frsize}, &room))
    return;
  check(room >= bytes, shown(path), ": needs ", bytes, " bytes, but its disk has only ", room,
        " free; make room or write elsewhere");
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
  NewFolders folders(folder_of(path));
  { const NewFile probe(path); }
  check_space(path, bytes);
  folders.keep();
}

}  // namespace zimage
