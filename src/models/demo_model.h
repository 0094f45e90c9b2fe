#pragma once

#include <filesystem>

namespace zimage {

// The folder of the model that comes with the program: ZIMAGE_DEMO_MODEL where it is set, else
// beside the program, in the source tree above a build folder, or in the installed share folder.
// Throws Error naming the places when it is in none of them.
std::filesystem::path demo_model_folder();

}  // namespace zimage
