#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "zimage/image.h"

namespace zimage::cli {

// Where the pictures of a run go. `output` is a file name (several pictures: NAME-1.png,
// NAME-2.png,
// ...), a folder, or empty for zimage.png here. A named file is replaced; names of our own choice
// avoid what exists. Throws UsageError for an ending that is no image format.
struct OutputPlan {
  std::vector<std::filesystem::path> paths;
  bool is_own_choice;
};
OutputPlan plan_outputs(const std::string& output, int images);

// Throws Error unless pictures of that size can be written to all of the paths.
void check_outputs(const OutputPlan& plan, int width, int height);

// Writes picture `index` and returns its path: the planned one, or where the name was our own
// choice and has been taken meanwhile the next free one.
std::filesystem::path write_output(const OutputPlan& plan, int index, const Image& image,
                                   const EncodeOptions& options);

}  // namespace zimage::cli
