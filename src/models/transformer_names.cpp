#include "models/transformer_names.h"

#include <array>
#include <string_view>

namespace zimage {
namespace {

struct Names {
  std::string_view original, diffusers;
};
constexpr std::array<Names, 3> kInner{{{".attention.q_norm.", ".attention.norm_q."},
                                       {".attention.k_norm.", ".attention.norm_k."},
                                       {".attention.out.", ".attention.to_out.0."}}};
constexpr std::array<Names, 2> kHead{
    {{"final_layer.", "all_final_layer.2-1."}, {"x_embedder.", "all_x_embedder.2-1."}}};
constexpr std::string_view kFused = ".attention.qkv.";
constexpr std::array<std::string_view, 3> kFusedParts{".attention.to_q.", ".attention.to_k.",
                                                      ".attention.to_v."};

std::string replaced(const std::string& name, std::size_t at, std::string_view from,
                     std::string_view to) {
  return name.substr(0, at) + std::string(to) + name.substr(at + from.size());
}

// With `from` of the first row that fits as `to`.
std::string renamed(const std::string& name, std::string_view Names::*from,
                    std::string_view Names::*to) {
  for (const Names& row : kHead) {
    if (name.starts_with(row.*from)) return replaced(name, 0, row.*from, row.*to);
  }
  for (const Names& row : kInner) {
    const auto at = name.find(row.*from);
    if (at != name.npos) return replaced(name, at, row.*from, row.*to);
  }
  return name;
}

}  // namespace

std::vector<std::string> diffusers_names(const std::string& original) {
  const auto at = original.find(kFused);
  if (at == original.npos) return {renamed(original, &Names::original, &Names::diffusers)};
  std::vector<std::string> names;
  for (const std::string_view part : kFusedParts) {
    names.push_back(replaced(original, at, kFused, part));
  }
  return names;
}

std::vector<OriginalTensor> original_names(const std::vector<std::string>& diffusers) {
  std::vector<OriginalTensor> tensors;
  for (const std::string& name : diffusers) {
    std::string original = renamed(name, &Names::diffusers, &Names::original);
    for (const std::string_view part : kFusedParts) {
      const auto at = name.find(part);
      if (at != name.npos) original = replaced(name, at, part, kFused);
    }
    const auto parts = diffusers_names(original);
    if (parts.front() == name) tensors.push_back({std::move(original), parts});
  }
  return tensors;
}

}  // namespace zimage
