#include "models/control_files.h"

#include <algorithm>

#include "core/check.h"
#include "io/json.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "models/component_weights.h"
#include "models/mlx_manifest.h"
#include "models/model_spec.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_file(it->path())) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// config.json as diffusers saves it beside a control network; empty: none, or another model's.
fs::path config_in(const fs::path& folder) {
  const fs::path path = folder / kControlConfig;
  if (!is_file(path)) return {};
  try {
    const Json config = Json::parse_file(path);
    return config.get_or<std::string>("_class_name", "") == "ZImageControlNetModel" ? path : "";
  } catch (const Error&) {
    return {};
  }
}

// Of a network in MLX's formats, which keeps it beside a file of another name.
fs::path quantized_config_in(const fs::path& folder) {
  return is_file(folder / kMlxControlManifest) ? config_in(folder) : fs::path();
}

ControlFiles in_folder(const fs::path& folder, const ModelOptions& options,
                       const std::string& where, const ControlFlags& flags) {
  const std::string variant = normalized_variant(options.weights_variant);
  const std::string file =
      choose_control_file(names_in(folder), options.control_file, variant, where, flags);
  if (!file.empty()) return {{folder / file}, quantized_config_in(folder)};
  WeightFiles found = find_weight_files(folder, std::string(kControlWeights), variant);
  return {std::move(found.files), config_in(folder)};
}

ControlFiles from_file(const fs::path& file, const ModelOptions& options,
                       const ControlFlags& flags) {
  check_usage(options.control_file.empty(), flags.file, " ", printable(options.control_file), ": ",
              flags.network, " is a file already; expected one of them");
  const bool is_of_diffusers = file.filename().string().starts_with(kControlWeights);
  const fs::path folder = file.parent_path();
  return {{file}, is_of_diffusers ? config_in(folder) : quantized_config_in(folder)};
}

ControlFiles find_files(const ModelOptions& options, const ControlFlags& flags) {
  const std::string& text = options.controlnet;
  check_usage(text.find_first_not_of(" \t\r\n") != text.npos, flags.network,
              ": no text; expected a hub id, a folder or a .safetensors file");
  const fs::path path = expanded_path(text);
  if (is_file(path)) return from_file(path, options, flags);
  std::error_code error;
  if (fs::is_directory(path, error)) return in_folder(path, options, path.string(), flags);
  const auto colon = text.find(':');
  const std::string id = text.substr(0, colon);
  check(is_hub_id(id) && !text.ends_with(".safetensors"), flags.network, " ", printable(text),
        ": no such file or folder, and no hub id (org/name)");
  const std::string revision = colon == text.npos ? "" : text.substr(colon + 1);
  return in_folder(control_repository({id, revision}, options, flags), options, id, flags);
}

// Before a model of 33 GB is fetched for it.
void check_is_control(const ControlFiles& files, const ControlFlags& flags) {
  bool has_embedder = false;
  for (const fs::path& path : files.weights) {
    const auto file = MappedFile::open(path);
    const SafetensorsHeader header =
        parse_safetensors_header(file->bytes(), file->bytes().size(), path.string());
    has_embedder =
        has_embedder || std::any_of(header.tensors.begin(), header.tensors.end(),
                                    [](const SafetensorsHeader::Entry& tensor) {
                                      return tensor.name.starts_with("control_all_x_embedder.");
                                    });
  }
  const fs::path& first = files.weights.front();
  check(has_embedder, flags.network, " ", first.string(),
        ": no tensor control_all_x_embedder, expected a control network for Z-Image");
}

}  // namespace

ControlFiles resolve_control(const ModelOptions& options, const ControlFlags& flags) {
  ControlFiles files = find_files(options, flags);
  check_is_control(files, flags);
  return files;
}

WeightMap load_control(const ControlFiles& files) {
  return load_control_weights(files.weights, files.weights.front().parent_path());
}

std::vector<StoredTensor> stored_tensors(const ControlFiles& files) {
  return stored_control_tensors(files.weights, files.weights.front().parent_path());
}

}  // namespace zimage
