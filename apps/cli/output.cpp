#include "output.h"

namespace zimage::cli {
namespace {

namespace fs = std::filesystem;

fs::path with_suffix(const fs::path& path, int number) {
  fs::path result = path;
  result.replace_filename(path.stem().string() + "-" + std::to_string(number) +
                          path.extension().string());
  return result;
}

// zimage.png, zimage-2.png, ...: the first `images` names that are not taken.
std::vector<fs::path> free_names(const fs::path& folder, int images) {
  std::vector<fs::path> paths;
  for (int number = 1; static_cast<int>(paths.size()) < images; ++number) {
    const fs::path plain = folder / "zimage.png";
    const fs::path path = number == 1 ? plain : with_suffix(plain, number);
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) paths.push_back(path);
  }
  return paths;
}

}  // namespace

std::vector<fs::path> plan_outputs(const std::string& output, int images) {
  std::error_code error;
  if (output.empty()) return free_names({}, images);
  if (output.ends_with('/') || fs::is_directory(output, error)) return free_names(output, images);

  fs::path path(output);
  (void)image_format_of(path);
  if (!path.has_extension()) path += ".png";
  if (images == 1) return {path};
  std::vector<fs::path> paths;
  for (int number = 1; number <= images; ++number) paths.push_back(with_suffix(path, number));
  return paths;
}

void check_outputs(const std::vector<fs::path>& paths, int width, int height) {
  for (const fs::path& path : paths) check_image_writable(path, width, height);
}

}  // namespace zimage::cli
