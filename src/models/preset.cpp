#include "models/preset.h"

namespace zimage {
namespace {

constexpr Preset kTurbo{.name = "Z-Image-Turbo",
                        .width = 1024,
                        .height = 1024,
                        .steps = 9,
                        .guidance_scale = 0,
                        .max_sequence_length = 512};
constexpr Preset kBase{.name = "Z-Image",
                       .width = 1024,
                       .height = 1024,
                       .steps = 50,
                       .guidance_scale = 4,
                       .max_sequence_length = 512};

constexpr float kSmallestBaseShift = 5;

}  // namespace

const Preset& preset_of(Family family) { return family == Family::kBase ? kBase : kTurbo; }

Family family_of(const Snapshot& snapshot) {
  const auto type = snapshot.model_index().get_or<std::string>("model_type", "");
  if (type == "z-image") return Family::kBase;
  if (type == "z-image-turbo") return Family::kTurbo;
  const float shift = snapshot.config_of("scheduler").get_or("shift", 3.0f);
  return shift >= kSmallestBaseShift ? Family::kBase : Family::kTurbo;
}

}  // namespace zimage
