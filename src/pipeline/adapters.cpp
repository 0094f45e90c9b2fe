#include "pipeline/adapters.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string_view>
#include <system_error>

#include "core/check.h"
#include "io/printable.h"
#include "layers/module_name.h"
#include "models/adapter_binding.h"
#include "models/adapter_file.h"
#include "models/adapter_source.h"
#include "models/component_weights.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Adapters that draw only with settings of their own. Upstream names "cfg 1.0", which is
// neg + 1 * (pos - neg): the prompt alone, guidance 0 here.
struct KnownAdapter {
  std::string_view repository, file;
  AdapterRecipe recipe;
};
constexpr std::array kKnown{KnownAdapter{"alibaba-pai/z-image-fun-lora-distill",
                                         "z-image-fun-lora-distill-8-steps-2603.safetensors",
                                         {.steps = 8, .guidance_scale = 0, .scale = 0.8f}}};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::optional<AdapterRecipe> recipe_of(const ChosenAdapter& adapter) {
  const std::string id = lower(adapter.options.source.substr(0, adapter.options.source.find(':')));
  const std::string file = lower(adapter.file.filename().string());
  for (const KnownAdapter& known : kKnown) {
    if (file == known.file || (id == known.repository && adapter.options.file.empty())) {
      return known.recipe;
    }
  }
  return {};
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

std::string shown_name(const ChosenAdapter& adapter) {
  std::error_code error;
  const std::string file = adapter.file.filename().string();
  if (fs::exists(adapter.options.source, error)) return file;
  const bool is_path = adapter.options.source.find_first_of("/~") == 0;
  return is_path ? file : adapter.options.source + ":" + file;
}

ModuleShapes shapes_of(const Snapshot& snapshot) {
  ModuleShapes shapes;
  for (const StoredTensor& tensor : stored_tensors(snapshot, "transformer")) {
    if (is_weight(tensor.name)) shapes[module_of(tensor.name)] = tensor.shape;
  }
  return shapes;
}

}  // namespace

std::vector<ChosenAdapter> choose_adapters(const PipelineOptions& options) {
  for (const AdapterOptions& adapter : options.adapters) {
    check_usage(std::isfinite(adapter.scale.value_or(1)), "--lora ", printable(adapter.source),
                ": the scale is ", adapter.scale.value_or(1), ", expected a finite number");
  }
  std::vector<ChosenAdapter> chosen;
  for (const AdapterOptions& adapter : options.adapters) {
    ChosenAdapter next{adapter, find_adapter(adapter, options.model)};
    for (const ChosenAdapter& other : chosen) {
      check_usage(!is_same_file(next.file, other.file), "--lora ", printable(adapter.source),
                  ": the same file as --lora ", printable(other.options.source),
                  "; expected it once, with the sum of the scales");
    }
    chosen.push_back(std::move(next));
  }
  return chosen;
}

LoadedAdapters load_adapters(const std::vector<ChosenAdapter>& chosen, const Snapshot& snapshot,
                             const PipelineOptions& options) {
  if (chosen.empty()) return {};
  const ModuleShapes shapes = shapes_of(snapshot);
  auto set = std::make_shared<AdapterSet>(options.merge_adapters);
  LoadedAdapters result;
  for (const ChosenAdapter& adapter : chosen) {
    const auto recipe = recipe_of(adapter);
    const float scale = adapter.options.scale.value_or(recipe ? recipe->scale : 1);
    AppliedAdapter applied =
        bind_adapter(open_adapter(adapter.file), shapes, scale, options.strict_adapters, *set);
    applied.name = shown_name(adapter);
    applied.recipe = recipe;
    result.applied.push_back(std::move(applied));
  }
  if (!set->empty()) result.set = std::move(set);
  return result;
}

}  // namespace zimage
