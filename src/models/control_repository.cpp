#include "models/control_repository.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "models/hub_models.h"
#include "models/listed_names.h"
#include "models/mlx_manifest.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Files of that variant, or index and shards of it; plain ones without a variant.
bool is_of_diffusers(const std::string& name, const std::string& variant) {
  if (!name.starts_with(kControlWeights)) return false;
  if (!variant.empty()) return matches_variant(name, variant);
  const std::string rest = name.substr(kControlWeights.size());
  return rest == ".safetensors" || rest == ".safetensors.index.json" || rest.starts_with("-");
}

std::vector<std::string> in_top_folder(const hub::Listing& listing) {
  std::vector<std::string> names;
  for (const hub::File& file : listing.files) {
    if (file.path.find('/') == file.path.npos) names.push_back(file.path);
  }
  return names;
}

hub::Patterns patterns_of(const std::vector<std::string>& names, const ModelOptions& options,
                          const std::string& where, const ControlFlags& flags) {
  const std::string variant = normalized_variant(options.weights_variant);
  const std::string file = choose_control_file(names, options.control_file, variant, where, flags);
  hub::Patterns patterns{std::string(kMlxControlManifest)};
  // A file in MLX's formats needs the manifest and the configuration beside it.
  if (file.empty() || has(names, kMlxControlManifest)) {
    patterns.emplace_back(kControlConfig);
  }
  if (!file.empty()) {
    patterns.push_back(hub::literal_pattern(file));
    return patterns;
  }
  for (const std::string& name : names) {
    if (is_of_diffusers(name, variant)) patterns.push_back(hub::literal_pattern(name));
  }
  return patterns;
}

}  // namespace

std::string choose_control_file(const std::vector<std::string>& names, const std::string& wanted,
                                const std::string& variant, const std::string& where,
                                const ControlFlags& flags) {
  std::vector<std::string> weights;
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors")) weights.push_back(name);
  }
  if (!wanted.empty()) {
    check(has(weights, wanted), flags.file, " ", printable(wanted), ": ", printable(where),
          " holds ", weights.empty() ? "no .safetensors file" : listed_names(weights));
    return wanted;
  }
  const bool has_diffusers = has(names, kControlConfig) &&
                             std::any_of(names.begin(), names.end(), [&](const std::string& name) {
                               return is_of_diffusers(name, variant) &&
                                      (name.ends_with(".safetensors") || name.ends_with(".json"));
                             });
  if (has_diffusers) return "";
  check(!weights.empty(), flags.network, " ", printable(where),
        ": holds no .safetensors file, expected those of a control network");
  check(weights.size() == 1, flags.network, " ", printable(where), ": holds several files, ",
        listed_names(weights), "; ", flags.file, " names the one to use");
  return weights.front();
}

fs::path control_repository(const hub::Spec& spec, const ModelOptions& options,
                            const ControlFlags& flags) {
  return chosen_files(
      spec, options.control_file,
      [&](const hub::Listing& listing) {
        return patterns_of(in_top_folder(listing), options, spec.repo, flags);
      },
      options);
}

}  // namespace zimage
