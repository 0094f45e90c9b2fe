// What a model on disk is, from headers and configurations alone.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/check.h"
#include "io/file.h"
#include "io/printable.h"
#include "models/adapter_binding.h"
#include "models/adapter_file.h"
#include "models/checkpoint_file.h"
#include "models/checkpoint_names.h"
#include "models/component_files.h"
#include "models/component_weights.h"
#include "models/preset.h"
#include "models/weight_files.h"
#include "pipeline/survey.h"
#include "scheduler/flow_match_euler.h"
#include "zimage/models.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using Out = nlohmann::ordered_json;

std::string shape_text(const Shape& shape) { return str(shape); }

std::string type_of(const StoredTensor& tensor) {
  return tensor.format.empty() ? std::string(name_of(tensor.dtype)) : tensor.format;
}

using Tensors = std::map<std::string, StoredTensor>;

Tensors named(const std::vector<StoredTensor>& tensors) {
  Tensors result;
  for (const StoredTensor& tensor : tensors) result.insert({tensor.name, tensor});
  return result;
}

std::int64_t parameters_of(const Tensors& tensors) {
  std::int64_t sum = 0;
  for (const auto& [name, tensor] : tensors) sum += tensor.shape.numel();
  return sum;
}

Out dtypes_of(const Tensors& tensors) {
  struct Sum {
    std::int64_t tensors = 0, parameters = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string, Sum> sums;
  for (const auto& [name, tensor] : tensors) {
    Sum& sum = sums[type_of(tensor)];
    ++sum.tensors;
    sum.parameters += tensor.shape.numel();
    sum.bytes += tensor.bytes;
  }
  Out out = Out::object();
  for (const auto& [dtype, sum] : sums) {
    out[dtype] = {{"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
  }
  return out;
}

Out names_out(const std::vector<std::string>& names) {
  Out out = Out::array();
  for (const std::string& name : names) out.push_back(printable(name));
  return out;
}

Out config_out(const fs::path& path) {
  const auto bytes = read_file(path, std::size_t{1} << 20);
  return Out::parse(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                    nullptr, false);
}

Out component_out(const Snapshot& snapshot, const std::string& component) {
  Out out;
  for (const fs::path& file : snapshot.weight_files(component)) {
    std::error_code error;
    out["files"].push_back({{"path", file.string()}, {"bytes", fs::file_size(file, error)}});
  }
  const Tensors tensors = named(stored_tensors(snapshot, component));
  out["parameters"] = parameters_of(tensors);
  out["dtypes"] = dtypes_of(tensors);
  const WeightSurvey found = survey(snapshot, component);
  out["missing"] = names_out(found.missing);
  out["mismatched"] = Out::array();
  for (const auto& m : found.mismatched) {
    out["mismatched"].push_back({{"name", printable(m.name)},
                                 {"shape", shape_text(m.found)},
                                 {"expected", shape_text(m.expected)}});
  }
  out["unreadable"] = Out::array();
  for (const auto& tensor : found.unreadable) {
    out["unreadable"].push_back({{"name", printable(tensor.name)}, {"dtype", tensor.type}});
  }
  out["surplus"] = names_out(found.surplus);
  out["config"] = config_out(snapshot.root() / component / "config.json");
  return out;
}

Out snapshot_out(const fs::path& path) {
  const Snapshot snapshot = Snapshot::open(path);
  const FamilyChoice choice = choose_family(path.string(), path);
  Out out{{"path", path.string()},
          {"kind", "snapshot"},
          {"family", name_of(choice.family)},
          {"is_complete", true}};
  bool is_complete = true;
  for (const std::string_view name : kWeightComponents) {
    Out component = component_out(snapshot, std::string(name));
    is_complete &= component["missing"].empty() && component["mismatched"].empty() &&
                   component["unreadable"].empty() && component["surplus"].empty();
    out["components"][std::string(name)] = std::move(component);
  }
  (void)SchedulerConfig::from_json(snapshot.config_of("scheduler"));
  out["scheduler"] = config_out(path / "scheduler" / "scheduler_config.json");
  out["is_complete"] = is_complete;
  return out;
}

Tensors tensors_in(const CheckpointFile& file) {
  Tensors tensors;
  for (const auto& [name, entry] : file.tensors()) {
    tensors.insert({name, stored_tensor(name, entry)});
  }
  return tensors;
}

std::string naming_of(const ComponentLayout& layout) {
  if (layout.is_llama) return "llama.cpp";
  if (layout.component != "vae") return "-";
  return layout.is_compvis_vae ? "CompVis" : "diffusers";
}

// Scales and markers beside weights are no parameters.
Out file_component_out(const Tensors& tensors, const ComponentLayout& layout) {
  return {{"prefix", printable(layout.prefix)},
          {"naming", naming_of(layout)},
          {"parameters", parameters_of(tensors)},
          {"dtypes", dtypes_of(tensors)}};
}

// What is in a format of several tensors takes their place.
void join_parts(Tensors& file, const Tensors& component, const ComponentNames& names) {
  for (const TensorSource& source : names.tensors) {
    const StoredTensor& tensor = component.at(source.stored);
    if (tensor.format == file.at(source.stored).format) continue;
    file.at(source.stored) = tensor;
    file.erase(source.scale);
    file.erase(source.bias);
  }
}

bool is_control_network(const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("control_all_x_embedder.");
  });
}

// Endings such as .alpha are common names, too: at least one module is one that adapters are for.
bool is_adapter(const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    const auto key = parse_adapter_key(name);
    return key && key->part != AdapterPart::kAlpha && adapter_target(key->module);
  });
}

Out adapter_out(const fs::path& path) {
  const AppliedAdapter adapter = survey_adapter(open_adapter(path));
  Out out{{"modules", adapter.modules}, {"kinds", Out::object()}};
  for (const auto& [kind, modules] : adapter.kinds) out["kinds"][kind] = modules;
  if (adapter.largest_rank > 0) {
    out["smallest_rank"] = adapter.smallest_rank;
    out["largest_rank"] = adapter.largest_rank;
  }
  out["for_text_encoder"] = adapter.for_text_encoder;
  out["without_place"] = names_out(adapter.unmatched);
  out["repeated"] = names_out(adapter.repeated);
  return out;
}

Out file_out(const fs::path& path) {
  Out out{{"path", path.string()}, {"kind", ""}};
  std::error_code error;
  out["bytes"] = fs::file_size(path, error);
  const CheckpointFile opened = CheckpointFile::open(path);
  Tensors file = tensors_in(opened);
  std::set<std::string> names, used;
  for (const auto& [name, tensor] : file) names.insert(name);
  auto layouts = find_components(names, path.string());
  out["kind"] = layouts.empty()      ? kind_of_other_file(path)
                : layouts.size() > 1 ? "checkpoint of several components"
                                     : layouts.front().component + " checkpoint";
  if (layouts.empty() && !opened.is_gguf() && is_adapter(names)) {
    out["kind"] = "adapter";
    out["adapter"] = adapter_out(path);
  }
  if (layouts.empty() && is_control_network(names)) layouts = {{std::string(kControlNetwork), ""}};
  for (const ComponentLayout& layout : layouts) {
    ComponentNames found = canonical_names(names, layout);
    const Tensors tensors = stored_tensors(opened, path, layout.component, found.tensors);
    out["components"][layout.component] = file_component_out(tensors, layout);
    join_parts(file, tensors, found);
    used.merge(found.used);
  }
  out["format"] = opened.is_gguf() ? "GGUF" : "safetensors";
  out["tensors"] = names.size();
  out["dtypes"] = dtypes_of(file);
  out["other_tensors"] = names.size() - used.size();
  for (const auto& [key, value] : opened.metadata()) {
    out["metadata"][printable(key)] = printable(value);
  }
  return out;
}

Out folder_out(const fs::path& path) {
  Out out{{"path", path.string()}, {"kind", "folder of checkpoints"}};
  for (const auto& [component, file] : components_in_folder(path, {})) {
    out["components"][component] = {{"file", file.string()}};
  }
  return out;
}

}  // namespace

std::string inspect_model(const fs::path& path) {
  std::error_code error;
  check(fs::exists(path, error), path.string(), ": no such file or folder");
  const Out out = fs::is_regular_file(path, error) ? file_out(path)
                  : Snapshot::is_snapshot(path)    ? snapshot_out(path)
                                                   : folder_out(path);
  return out.dump(2, ' ', false, Out::error_handler_t::replace);
}

}  // namespace zimage
