#include "output.h"

#include <unistd.h>

#include <utility>

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

OutputPlan plan_outputs(const std::string& output, int images) {
  std::error_code error;
  if (output.empty()) return {free_names({}, images), true};
  if (output.ends_with('/') || fs::is_directory(output, error))
    return {free_names(output, images), true};

  fs::path path(output);
  (void)image_format_of(path);
  if (!path.has_extension()) path += ".png";
  if (images == 1) return {{path}, false};
  std::vector<fs::path> paths;
  for (int number = 1; number <= images; ++number) paths.push_back(with_suffix(path, number));
  return {std::move(paths), false};
}

void check_outputs(const OutputPlan& plan, int width, int height) {
  const int images = static_cast<int>(plan.paths.size());
  for (const fs::path& path : plan.paths) check_image_writable(path, width, height, images);
}

fs::path write_output(const OutputPlan& plan, int index, const Image& image,
                      const EncodeOptions& options) {
  const fs::path& planned = plan.paths[static_cast<std::size_t>(index)];
  if (!plan.is_own_choice) {
    write_image(planned, image, options);
    return planned;
  }
  // A link never replaces a file, a rename would.
  fs::path hidden = planned;
  hidden.replace_filename(".zimage-" + std::to_string(getpid()) + ".png");
  write_image(hidden, image, options);
  fs::path path = planned;
  std::error_code error;
  fs::create_hard_link(hidden, path, error);
  while (error == std::errc::file_exists) {
    path = free_names(planned.parent_path(), 1).front();
    fs::create_hard_link(hidden, path, error);
  }
  if (error) {  // a file system without links
    fs::rename(hidden, path);
  } else {
    fs::remove(hidden);
  }
  return path;
}

}  // namespace zimage::cli
