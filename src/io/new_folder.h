#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace zimage {

// A new name each time, short so that it fits where any name fits.
std::string temporary_name();

// A new name in `folder` for which make(path) is true: tries others where it leaves EEXIST or EINTR
// in errno. Empty, and errno as make() left it, where it fails for another reason.
std::filesystem::path make_with_new_name(
    const std::filesystem::path& folder,
    const std::function<bool(const std::filesystem::path&)>& make);

// The folders on the way to `folder` that it makes; all of them are removed again unless kept.
class ParentFolders {
 public:
  explicit ParentFolders(const std::filesystem::path& folder);
  ~ParentFolders() { remove(); }
  ParentFolders(const ParentFolders&) = delete;
  ParentFolders& operator=(const ParentFolders&) = delete;
  void keep() { made_.clear(); }

 private:
  void make(const std::filesystem::path& folder);
  void remove();
  std::vector<std::filesystem::path> made_;
};

// Throws Error when the disk of `folder` has less than that free.
void check_space(const std::filesystem::path& folder, std::uint64_t bytes,
                 const std::filesystem::path& wanted);

// A folder that appears with all that is in it or not at all.
class NewFolder {
 public:
  // Makes a folder of another name beside `path`, and the parents. Throws Error where something
  // other than an empty folder is at `path`.
  explicit NewFolder(const std::filesystem::path& path);
  ~NewFolder();  // removes it unless committed
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::filesystem::path& folder() const { return temporary_; }  // to be filled
  void commit();                                                      // it gets its name

 private:
  std::filesystem::path path_;
  ParentFolders parents_;
  std::filesystem::path temporary_;
};

}  // namespace zimage
