#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "models/snapshot.h"

namespace zimage {

enum class Family { kTurbo, kBase, kDemo };

std::string_view name_of(Family family);  // "turbo", "base", "demo"

// What a family draws best with; applies to every option the user did not set.
struct Preset {
  std::string_view name;  // for logs
  int width, height;      // pixels
  int steps;              // of the terminal schedule
  float guidance_scale;
  int max_sequence_length;  // prompt tokens
};

const Preset& preset_of(Family family);

// By model_index.json's model_type, else by the scheduler's shift (5 and more: Base, up to 3.5:
// Turbo). Nothing for a folder without either, or with a shift in between.
std::optional<Family> family_of_metadata(const std::filesystem::path& folder);

// By words in a model's name: "z-image" or "zimage" with "turbo" or "8bit", or without.
std::optional<Family> family_of_name(std::string_view name);

struct FamilyChoice {
  Family family;
  std::string note;  // why, when it is a guess; empty when it is known
};

// `name` is what the user wrote. Order: a known model's, the snapshot's metadata, the name, Turbo.
FamilyChoice choose_family(const std::string& name, const std::filesystem::path& snapshot);

}  // namespace zimage
