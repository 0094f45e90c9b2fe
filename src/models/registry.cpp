#include "models/registry.h"

#include <algorithm>
#include <array>

namespace zimage {
namespace {

constexpr std::array<KnownModel, 4> kModels{
    {{"turbo", "Tongyi-MAI/Z-Image-Turbo", Family::kTurbo, "distilled, 8 updates, no guidance"},
     {"base", "Tongyi-MAI/Z-Image", Family::kBase, "undistilled, 50 steps, guidance 4"},
     {"turbo-8bit", "mzbac/z-image-turbo-8bit", Family::kTurbo, "Turbo in MLX 8 bit"},
     {"demo", "", Family::kDemo, "small model that comes with the program: coloured shapes"}}};

char lower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

std::span<const KnownModel> known_models() { return kModels; }

const KnownModel* find_known_model(std::string_view name) {
  name = trimmed(name);
  name = trimmed(name.substr(0, name.find(':')));
  if (name.empty()) return nullptr;
  const auto it = std::find_if(kModels.begin(), kModels.end(), [&](const KnownModel& model) {
    return equal_ignoring_case(name, model.alias) || equal_ignoring_case(name, model.id);
  });
  return it == kModels.end() ? nullptr : &*it;
}

std::string cache_folder_name(std::string_view id) {
  id = trimmed(id);
  id = id.substr(0, id.find(':'));
  if (const KnownModel* known = find_known_model(id)) {
    if (known->family == Family::kBase) return "z-image";
    if (known->family == Family::kTurbo) return "z-image-turbo";
  }
  std::string name;
  for (const char c : id) {
    const bool is_plain =
        ('0' <= c && c <= '9') || ('a' <= lower(c) && lower(c) <= 'z') || c == '-' || c == '_';
    name += c == '/' ? "--" : is_plain ? std::string(1, lower(c)) : "-";
  }
  while (name.ends_with('-')) name.pop_back();
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  return name.empty() ? "model" : name;
}

}  // namespace zimage
