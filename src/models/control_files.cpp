#include "models/control_files.h"

#include <algorithm>

#include "core/check.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "models/component_files.h"
#include "models/hub_models.h"
#include "models/model_spec.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfig = "config.json";

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i]);
  }
  return names.size() > kShown ? str(text, " and ", names.size() - kShown, " more") : text;
}

// The one of `names` that `wanted` (empty: any) picks.
std::string choose(const std::vector<std::string>& names, const std::string& wanted,
                   const std::string& where) {
  if (!wanted.empty()) {
    check(std::find(names.begin(), names.end(), wanted) != names.end(), "--control-file ",
          printable(wanted), ": ", printable(where), " holds ",
          names.empty() ? "no .safetensors file" : joined(names));
    return wanted;
  }
  check(!names.empty(), "--controlnet-weights ", printable(where),
        ": holds no .safetensors file, expected those of a control network");
  check(names.size() == 1, "--controlnet-weights ", printable(where), ": holds several files, ",
        joined(names), "; --control-file names the one to use");
  return names.front();
}

std::vector<std::string> safetensors_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().extension() == ".safetensors" && it->is_regular_file(ignored)) {
      names.push_back(it->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// config.json of a control network as diffusers saves it; empty: none, or another model's.
fs::path config_in(const fs::path& folder) {
  const fs::path path = folder / kConfig;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};
  const Json config = Json::parse_file(path);
  return config.get_or<std::string>("_class_name", "") == "ZImageControlNetModel" ? path : "";
}

ControlFiles in_folder(const fs::path& folder, const std::string& wanted,
                       const std::string& variant) {
  const fs::path config = config_in(folder);
  if (wanted.empty() && !config.empty()) {
    WeightFiles found = find_weight_files(folder, "diffusion_pytorch_model", variant);
    if (!found.files.empty()) return {std::move(found.files), config};
  }
  return {{folder / choose(safetensors_in(folder), wanted, folder.string())}, config};
}

ControlFiles on_hub(const ModelSpec& spec, const ModelOptions& options) {
  const std::string& wanted = options.control_file;
  const auto has_wanted = [&](const fs::path& folder) {
    std::error_code error;
    return !wanted.empty() && fs::is_regular_file(folder / wanted, error);
  };
  const auto patterns = [&](const std::vector<std::string>& names) {
    std::vector<std::string> weights;
    for (const std::string& name : names) {
      const bool is_top = name.find('/') == name.npos;
      if (is_top && name.ends_with(".safetensors")) weights.push_back(name);
    }
    const bool has_config = std::find(names.begin(), names.end(), kConfig) != names.end();
    if (wanted.empty() && has_config) {
      return hub::Patterns{std::string(kConfig), "diffusion_pytorch_model*"};
    }
    return hub::Patterns{choose(weights, wanted, spec.repo), std::string(kConfig)};
  };
  const fs::path folder = hub_files({spec.repo, spec.revision}, options, has_wanted, patterns);
  return in_folder(folder, options.control_file, options.weights_variant);
}

}  // namespace

ControlFiles resolve_control(const ModelOptions& options) {
  const ModelSpec spec = parse_model_spec(options.controlnet);
  switch (spec.kind) {
    case ModelSpec::Kind::kHub: return on_hub(spec, options);
    case ModelSpec::Kind::kFolder:
      return in_folder(spec.path, options.control_file, options.weights_variant);
    case ModelSpec::Kind::kFile:
      check(options.control_file.empty(), "--control-file ", printable(options.control_file),
            ": --controlnet-weights is a file already; expected one of them");
      return {{spec.path}, config_in(spec.path.parent_path())};
    case ModelSpec::Kind::kDemo: break;
  }
  throw Error("--controlnet-weights demo: the demo model has no control network");
}

std::uint64_t converted_bytes(const ControlFiles& files, Dtype compute) {
  std::uint64_t bytes = 0;
  for (const fs::path& path : files.weights) {
    const auto file = MappedFile::open(path);
    const SafetensorsHeader header =
        parse_safetensors_header(file->bytes(), file->bytes().size(), path.string());
    for (const auto& tensor : header.tensors) {
      const bool is_aligned = (header.data_begin + tensor.begin) % size_of(tensor.dtype) == 0;
      const bool is_converted = tensor.shape.rank() > 1 && tensor.dtype != compute;
      const auto numbers = static_cast<std::uint64_t>(tensor.shape.numel());
      if (is_converted || !is_aligned) bytes += numbers * size_of(compute);
    }
  }
  return bytes;
}

WeightMap load_control(const ControlFiles& files) {
  const fs::path& first = files.weights.front();
  const bool is_whole = files.weights.size() == 1;
  WeightMap weights(is_whole ? first.string() : first.parent_path().string());
  for (const fs::path& file : files.weights) weights.add_file(file);
  return weights;
}

}  // namespace zimage
