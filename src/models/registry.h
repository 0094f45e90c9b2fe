#pragma once

#include <span>
#include <string>
#include <string_view>

#include "models/preset.h"

namespace zimage {

// A model that can be named without a path.
struct KnownModel {
  std::string_view alias;  // "turbo"
  std::string_view id;     // on the hub: "Tongyi-MAI/Z-Image-Turbo"; empty for the embedded model
  Family family;
  std::string_view description;
};

std::span<const KnownModel> known_models();  // the default model first

// By alias or hub id, whatever the capitals; a ":revision" is cut off. nullptr for others.
const KnownModel* find_known_model(std::string_view name);

// A folder name of its own for a model's files: "z-image" for Base, "z-image-turbo" for Turbo and
// its 8-bit form, else the id made fit for a file name.
std::string cache_folder_name(std::string_view id);

}  // namespace zimage
