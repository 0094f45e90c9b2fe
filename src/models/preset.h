#pragma once

#include <string_view>

#include "models/snapshot.h"

namespace zimage {

enum class Family { kTurbo, kBase };

// What a family draws best with; applies to every option the user did not set.
struct Preset {
  std::string_view name;  // for logs
  int width, height;      // pixels
  int steps;              // of the terminal schedule
  float guidance_scale;
  int max_sequence_length;  // prompt tokens
};

const Preset& preset_of(Family family);

// By model_index.json's model_type, else by the scheduler's shift (Turbo 3, Base 6), else Turbo.
Family family_of(const Snapshot& snapshot);

}  // namespace zimage
