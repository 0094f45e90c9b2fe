#include "models/preset.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "models/registry.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

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
constexpr Preset kDemo{.name = "the demo model",
                       .width = 128,
                       .height = 128,
                       .steps = 13,
                       .guidance_scale = 2,
                       .max_sequence_length = 96};

constexpr float kSmallestBaseShift = 5, kLargestTurboShift = 3.5f;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::optional<Family> family_of_type(std::string type) {
  type = lower(std::move(type));
  if (type == "z-image") return Family::kBase;
  if (type == "z-image-turbo") return Family::kTurbo;
  if (type == "z-image-demo") return Family::kDemo;
  return {};
}

}  // namespace

std::string_view name_of(Family family) {
  switch (family) {
    case Family::kTurbo: return "turbo";
    case Family::kBase: return "base";
    case Family::kDemo: return "demo";
  }
  return "";
}

const Preset& preset_of(Family family) {
  switch (family) {
    case Family::kTurbo: return kTurbo;
    case Family::kBase: return kBase;
    case Family::kDemo: return kDemo;
  }
  return kTurbo;
}

std::optional<Family> family_of_metadata(const fs::path& folder) {
  if (folder.empty()) return {};
  std::error_code error;
  if (const fs::path index = folder / "model_index.json"; fs::is_regular_file(index, error)) {
    const Json json = Json::parse_file(index);
    if (auto family = family_of_type(json.get_or<std::string>("model_type", ""))) return family;
  }
  const fs::path scheduler = folder / "scheduler" / "scheduler_config.json";
  if (!fs::is_regular_file(scheduler, error)) return {};
  const Json json = Json::parse_file(scheduler);
  if (!json.has("shift")) return {};
  const float shift = json.get<float>("shift");
  if (shift >= kSmallestBaseShift) return Family::kBase;
  if (shift <= kLargestTurboShift) return Family::kTurbo;
  return {};
}

std::optional<Family> family_of_name(std::string_view name) {
  std::string text = lower(std::string(name));
  std::replace(text.begin(), text.end(), '_', '-');
  const auto has = [&](std::string_view word) { return text.find(word) != text.npos; };
  if (!has("z-image") && !has("zimage")) return {};
  return has("turbo") || has("8bit") ? Family::kTurbo : Family::kBase;
}

FamilyChoice choose_family(const std::string& name, const fs::path& snapshot) {
  if (const KnownModel* known = find_known_model(name)) return {known->family, ""};
  if (const auto family = family_of_metadata(snapshot)) return {*family, ""};
  if (const auto family = family_of_name(name)) {
    return {*family, str("taking the settings of ", preset_of(*family).name, ", by the name ",
                         printable(name))};
  }
  return {Family::kTurbo, str("unknown model ", printable(name),
                              ": taking the settings of Z-Image-Turbo (9 steps, guidance 0)")};
}

}  // namespace zimage
