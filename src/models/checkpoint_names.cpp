#include "models/checkpoint_names.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/check.h"
#include "io/printable.h"
#include "layers/module_name.h"
#include "models/llama_names.h"
#include "models/transformer_names.h"
#include "models/vae_names.h"

namespace zimage {
namespace {

using Names = std::set<std::string>;

// What stands in front of `ending` in the names that end so, where it is empty or ends with a dot.
std::vector<std::string> prefixes_before(const Names& names, std::string_view ending) {
  std::vector<std::string> prefixes;
  for (const std::string& name : names) {
    if (!name.ends_with(ending)) continue;
    std::string prefix = name.substr(0, name.size() - ending.size());
    if (prefix.empty() || prefix.ends_with('.')) prefixes.push_back(std::move(prefix));
  }
  return prefixes;
}

std::optional<std::string> only_prefix(const std::vector<std::string>& prefixes,
                                       std::string_view component, const std::string& where) {
  if (prefixes.empty()) return {};
  check(prefixes.size() == 1, where, ": holds more than one ", component, ", at \"",
        printable(prefixes.front()), "\" and at \"", printable(prefixes.back()),
        "\"; expected one");
  return prefixes.front();
}

std::optional<std::string> text_encoder_prefix(const Names& names, const std::string& where) {
  std::vector<std::string> prefixes;
  for (std::string prefix : prefixes_before(names, "embed_tokens.weight")) {
    if (!names.contains(prefix + "layers.0.self_attn.q_proj.weight")) continue;
    constexpr std::string_view kModel = "model.";  // Qwen3ForCausalLM's, part of canonical names
    if (prefix.ends_with(kModel)) prefix.resize(prefix.size() - kModel.size());
    prefixes.push_back(std::move(prefix));
  }
  return only_prefix(prefixes, "text encoder", where);
}

bool is_below(std::string_view name, const ComponentLayout& layout) {
  return name.starts_with(layout.prefix);
}

std::vector<TensorSource> transformer_sources(const std::string& name, const std::string& stored) {
  const std::vector<std::string> names = diffusers_names(name);
  std::vector<TensorSource> sources;
  for (std::size_t i = 0; i < names.size(); ++i) {
    sources.push_back({.name = names[i],
                       .stored = stored,
                       .part = static_cast<int>(i),
                       .parts = static_cast<int>(names.size()),
                       .scale = "",
                       .bias = "",
                       .marker = ""});
  }
  return sources;
}

// What ComfyUI keeps beside "X.weight" of eight bits, and MLX beside one in groups.
constexpr std::array<std::string_view, 3> kScales{".scale_weight", ".weight_scale", ".scales"};
constexpr std::array<std::string_view, 1> kBiases{".biases"};
constexpr std::array<std::string_view, 1> kMarkers{".comfy_quant"};
constexpr std::array<std::string_view, 2> kWithoutPart{".scale_input", ".input_scale"};

bool is_helper(std::string_view name) {
  if (name == "scaled_fp8" || name.ends_with(".scaled_fp8")) return true;
  const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
  return std::any_of(kScales.begin(), kScales.end(), ends) ||
         std::any_of(kBiases.begin(), kBiases.end(), ends) ||
         std::any_of(kMarkers.begin(), kMarkers.end(), ends) ||
         std::any_of(kWithoutPart.begin(), kWithoutPart.end(), ends);
}

// The name of the first of `endings` that is there beside "X.weight", or "".
std::string beside(const Names& names, const std::string& stored,
                   std::span<const std::string_view> endings) {
  if (!is_weight(stored)) return "";
  const std::string module = module_of(stored);
  for (const std::string_view ending : endings) {
    if (std::string name = module + std::string(ending); names.contains(name)) return name;
  }
  return "";
}

}  // namespace

std::vector<ComponentLayout> find_components(const Names& names, const std::string& where) {
  std::vector<ComponentLayout> found;
  if (auto p = only_prefix(prefixes_before(names, "cap_embedder.0.weight"), "transformer", where)) {
    found.push_back({.component = "transformer", .prefix = std::move(*p)});
  }
  if (auto p = text_encoder_prefix(names, where)) {
    found.push_back({.component = "text_encoder", .prefix = std::move(*p)});
  } else if (has_llama_names(names)) {
    found.push_back({.component = "text_encoder", .prefix = "", .is_llama = true});
  }
  if (auto p = only_prefix(prefixes_before(names, "decoder.conv_in.weight"), "VAE", where)) {
    const bool is_compvis = names.contains(*p + "decoder.mid.block_1.conv1.weight");
    found.push_back({.component = "vae", .prefix = std::move(*p), .is_compvis_vae = is_compvis});
  }
  // A component without a prefix would take the names of the others for its own.
  if (found.size() > 1) {
    for (const ComponentLayout& layout : found) {
      check(!layout.prefix.empty(), where, ": the ", layout.component,
            "'s tensors have no prefix of their own beside those of other components");
    }
  }
  return found;
}

ComponentNames canonical_names(const Names& names, const ComponentLayout& layout) {
  ComponentNames result;
  const int stages = layout.is_compvis_vae ? compvis_stages(names, layout.prefix) : 0;
  for (const std::string& stored : names) {
    if (!is_below(stored, layout)) continue;
    result.used.insert(stored);
    const std::string name = stored.substr(layout.prefix.size());
    if (is_helper(name)) continue;
    std::vector<TensorSource> sources;
    if (layout.component == "transformer") {
      sources = transformer_sources(name, stored);
    } else {
      sources = {{.name = layout.is_compvis_vae ? vae_name_of_compvis(name, stages)
                          : layout.is_llama     ? qwen3_name_of_llama(name)
                                                : name,
                  .stored = stored,
                  .scale = "",
                  .bias = "",
                  .marker = ""}};
    }
    for (TensorSource& source : sources) {
      source.scale = beside(names, stored, kScales);
      source.bias = beside(names, stored, kBiases);
      source.marker = beside(names, stored, kMarkers);
      result.tensors.push_back(std::move(source));
    }
  }
  return result;
}

}  // namespace zimage
