#include "io/open_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int FileHandle::release() { return std::exchange(fd_, -1); }

void FileHandle::close() {
  if (fd_ >= 0) ::close(release());
}

OpenFile open_regular_file(const std::filesystem::path& path) {
  check_path(path);
  OpenFile file;
  do {
    file.handle = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  } while (!file.handle.is_open() && errno == EINTR);
  check(file.handle.is_open(), shown(path), ": cannot be opened: ", error_text(errno));
  check(::fstat(file.handle.get(), &file.info) == 0, shown(path), ": ", error_text(errno));
  check(S_ISREG(file.info.st_mode), shown(path), ": is ", kind_of(file.info.st_mode),
        ", expected a regular file");
  return file;
}

void check_path(const std::filesystem::path& path) {
  check(!path.empty(), "an empty path, expected the name of a file");
  check(path.native().find('\0') == std::string::npos, shown(path),
        ": a path cannot hold a NUL character");
}

std::string shown(const std::filesystem::path& path) { return printable(path.native(), 1000); }

std::string error_text(int errno_value) { return std::generic_category().message(errno_value); }

}  // namespace zimage
