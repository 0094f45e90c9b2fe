#include "io/new_folder.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>

#include "core/check.h"
#include "io/open_file.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Without "/" at its end, so that it has a name and a parent.
fs::path named(const fs::path& path) {
  check_path(path);
  const fs::path whole = fs::absolute(path).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

void check_is_free(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return;
  check(fs::is_directory(status) && fs::is_empty(path, error) && !error, shown(path),
        " exists; expected a new or an empty folder");
}

// An empty folder that is there can be replaced: not a place where a disk is mounted, which would
// show only when everything is written.
void check_is_replaceable(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const fs::path aside = path.parent_path() / temporary_name();
  check(std::rename(path.c_str(), aside.c_str()) == 0, shown(path),
        ": cannot be replaced: ", error_text(errno), "; name a new folder, perhaps inside it");
  check(std::rename(aside.c_str(), path.c_str()) == 0, shown(aside), ": cannot be renamed to ",
        shown(path), ": ", error_text(errno));
}

fs::path make_temporary(const fs::path& folder, const fs::path& wanted) {
  fs::path made = make_with_new_name(
      folder, [](const fs::path& path) { return ::mkdir(path.c_str(), 0777) == 0; });
  check(!made.empty(), shown(wanted), ": the folder cannot be created: ", error_text(errno),
        "; choose another place to write to");
  return made;
}

}  // namespace

std::string temporary_name() {
  std::random_device random;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%08x%08x", random(), random());
  return str(".zimage-", digits, ".tmp");
}

fs::path make_with_new_name(const fs::path& folder,
                            const std::function<bool(const fs::path&)>& make) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fs::path path = folder / temporary_name();
    if (make(path)) return path;
    if (errno != EEXIST && errno != EINTR) break;
  }
  return {};
}

ParentFolders::ParentFolders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  for (fs::path p = folder; !p.empty() && !fs::exists(p, ignored); p = p.parent_path()) {
    missing.push_back(p);
    if (p == p.parent_path()) break;
  }
  for (auto p = missing.rbegin(); p != missing.rend(); ++p) make(*p);
}

void ParentFolders::make(const fs::path& folder) {
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

void ParentFolders::remove() {
  for (auto p = made_.rbegin(); p != made_.rend(); ++p) ::rmdir(p->c_str());
  made_.clear();
}

void check_space(const fs::path& folder, std::uint64_t bytes, const fs::path& wanted) {
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return;  // not every file system can tell
  std::uint64_t room = 0;
  if (__builtin_mul_overflow(std::uint64_t{disk.f_bavail}, std::uint64_t{disk.f_frsize}, &room))
    return;
  check(room >= bytes, shown(wanted), ": needs ", bytes, " bytes, but its disk has only ", room,
        " free; make room or write elsewhere");
}

NewFolder::NewFolder(const fs::path& path) : path_(named(path)), parents_(path_.parent_path()) {
  check_is_free(path_);
  check_is_replaceable(path_);
  temporary_ = make_temporary(path_.parent_path(), path_);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void NewFolder::commit() {
  check_is_free(path_);
  check(std::rename(temporary_.c_str(), path_.c_str()) == 0, shown(path_),
        ": cannot be written: ", error_text(errno));
  temporary_.clear();
  parents_.keep();
}

}  // namespace zimage
