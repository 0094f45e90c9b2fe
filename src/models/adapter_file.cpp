#include "models/adapter_file.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetadata = "lora_adapter_metadata";  // diffusers'

AdapterSettings settings_of(const fs::path& path, const SafetensorsFile& file) {
  const auto metadata = file.metadata().find(std::string(kMetadata));
  if (metadata != file.metadata().end()) {
    const std::string where = str(path.string(), ": metadata ", kMetadata);
    return AdapterSettings::from_json(Json::parse(metadata->second, where), "transformer.");
  }
  const fs::path config = path.parent_path() / "adapter_config.json";
  std::error_code error;
  if (!fs::is_regular_file(config, error)) return {};
  return AdapterSettings::from_json(Json::parse_file(config));
}

std::optional<double> number_in(const Json& json, const std::string& key) {
  return json.has(key) ? std::optional(json.get<double>(key)) : std::nullopt;
}

}  // namespace

AdapterSettings AdapterSettings::from_json(const Json& json, const std::string& prefix) {
  AdapterSettings settings;
  settings.alpha = number_in(json, prefix + "lora_alpha");
  if (!settings.alpha) settings.alpha = number_in(json, prefix + "alpha");
  settings.rank = number_in(json, prefix + "r");
  settings.is_rank_stabilized = json.get_or(prefix + "use_rslora", false);
  settings.is_peft_lokr = json.get_or<std::string>(prefix + "peft_type", "") == "LOKR";
  if (json.has(prefix + "alpha_pattern")) {
    const Json pattern = json.object(prefix + "alpha_pattern");
    for (const std::string& module : pattern.keys()) {
      settings.alpha_of[module] = pattern.get<double>(module);
    }
  }
  return settings;
}

AdapterFile sort_adapter(const std::map<std::string, Tensor>& tensors, AdapterSettings settings,
                         const std::string& where) {
  AdapterFile result{.where = where,
                     .modules = {},
                     .other_tensors = {},
                     .settings = std::move(settings),
                     .file = nullptr};
  std::map<std::string, AdapterModule> modules;
  for (const auto& [name, tensor] : tensors) {
    const auto key = parse_adapter_key(name);
    if (!key) {
      result.other_tensors.push_back(name);
      continue;
    }
    AdapterModule& module = modules[key->module];
    module.name = key->module;
    check(module.parts.emplace(key->part, tensor).second, where, ": ", printable(key->module),
          " has two tensors that are its ", name_of(key->part), ", expected one");
  }
  for (auto& [name, module] : modules) result.modules.push_back(std::move(module));
  return result;
}

AdapterFile open_adapter(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  AdapterFile adapter = sort_adapter(file.tensors(), settings_of(path, file), path.string());
  check(!adapter.modules.empty(), path.string(), ": no adapter: none of its ",
        file.tensors().size(),
        " tensors is named as those of LoRA, LoKr, LoHa or diff; expected names like "
        "layers.0.attention.to_q.lora_A.weight");
  adapter.file = file.file();
  return adapter;
}

}  // namespace zimage
