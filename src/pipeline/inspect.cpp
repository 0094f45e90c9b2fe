// What a model on disk is, from headers and configurations alone.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/check.h"
#include "io/file.h"
#include "io/mapped_file.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "models/adapter_binding.h"
#include "models/adapter_file.h"
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

Out dtypes_of(const std::vector<StoredTensor>& tensors) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> counts;  // tensors, parameters
  for (const StoredTensor& tensor : tensors) {
    auto& [count, parameters] =
        counts[tensor.format.empty() ? std::string(name_of(tensor.dtype)) : tensor.format];
    ++count;
    parameters += tensor.shape.numel();
  }
  Out out = Out::object();
  for (const auto& [dtype, count] : counts) {
    out[dtype] = {{"tensors", count.first}, {"parameters", count.second}};
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
  const auto tensors = stored_tensors(snapshot, component);
  std::int64_t parameters = 0;
  for (const StoredTensor& tensor : tensors) parameters += tensor.shape.numel();
  out["parameters"] = parameters;
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
  for (const auto& [name, dtype] : found.unreadable) {
    out["unreadable"].push_back({{"name", printable(name)}, {"dtype", name_of(dtype)}});
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

struct FileTensors {
  std::set<std::string> names;
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

FileTensors tensors_in(const fs::path& path) {
  const auto file = MappedFile::open(path);
  const SafetensorsHeader header =
      parse_safetensors_header(file->bytes(), file->bytes().size(), path.string());
  FileTensors result{.names = {}, .tensors = {}, .metadata = header.metadata};
  for (const auto& tensor : header.tensors) {
    result.names.insert(tensor.name);
    result.tensors.insert({tensor.name, {tensor.name, tensor.dtype, tensor.shape, true, false}});
  }
  return result;
}

Out file_component_out(const FileTensors& file, const ComponentLayout& layout) {
  std::vector<StoredTensor> tensors;
  std::int64_t parameters = 0;
  const ComponentNames names = canonical_names(file.names, layout);
  for (const std::string& name : names.used) {
    tensors.push_back(file.tensors.at(name));
    parameters += tensors.back().shape.numel();
  }
  return {{"prefix", printable(layout.prefix)},
          {"naming", layout.component != "vae" ? "-"
                     : layout.is_compvis_vae   ? "CompVis"
                                               : "diffusers"},
          {"parameters", parameters},
          {"dtypes", dtypes_of(tensors)}};
}

bool is_adapter(const FileTensors& file) {
  return std::any_of(file.names.begin(), file.names.end(),
                     [](const std::string& name) { return parse_adapter_key(name).has_value(); });
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
  return out;
}

Out file_out(const fs::path& path) {
  Out out{{"path", path.string()}, {"kind", ""}};
  std::error_code error;
  out["bytes"] = fs::file_size(path, error);
  if (kind_of_other_file(path) == "a GGUF file") {
    out["kind"] = "GGUF";
    return out;
  }
  const FileTensors file = tensors_in(path);
  const auto layouts = find_components(file.names, path.string());
  std::set<std::string> used;
  for (const ComponentLayout& layout : layouts) {
    out["components"][layout.component] = file_component_out(file, layout);
    used.merge(canonical_names(file.names, layout).used);
  }
  out["kind"] = layouts.empty()      ? kind_of_other_file(path)
                : layouts.size() > 1 ? "checkpoint of several components"
                                     : layouts.front().component + " checkpoint";
  if (layouts.empty() && is_adapter(file)) {
    out["kind"] = "adapter";
    out["adapter"] = adapter_out(path);
  }
  std::vector<StoredTensor> all, other;
  for (const auto& [name, tensor] : file.tensors) {
    all.push_back(tensor);
    if (!used.contains(name)) other.push_back(tensor);
  }
  out["tensors"] = all.size();
  out["dtypes"] = dtypes_of(all);
  out["other_tensors"] = other.size();
  for (const auto& [key, value] : file.metadata) {
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
