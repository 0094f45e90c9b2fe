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
std::vector<std::filesystem::path> plan_outputs(const std::string& output, int images);

// Throws Error unless pictures of that size can be written to all of the paths.
void check_outputs(const std::vector<std::filesystem::path>& paths, int width, int height);

}  // namespace zimage::cli
