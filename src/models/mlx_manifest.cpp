#include "models/mlx_manifest.h"

#include "core/check.h"
#include "io/printable.h"
#include "layers/module_name.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using ops::MlxFormat;

MlxFormat::Mode mode_named(const std::string& name, const std::string& where) {
  check(name == "affine" || name == "mxfp4", where, ": mode is ", printable(name),
        ", expected affine or mxfp4");
  return name == "affine" ? MlxFormat::Mode::kAffine : MlxFormat::Mode::kMxfp4;
}

std::string mode_name(const MlxFormat& format) {
  return format.mode == MlxFormat::Mode::kAffine ? "affine" : "mxfp4";
}

// What `json` says, and `defaults` for what it does not.
MlxFormat format_in(const Json& json, const MlxFormat& defaults, const std::string& where) {
  const MlxFormat format{.mode = mode_named(json.get_or("mode", mode_name(defaults)), where),
                         .bits = json.get_or("bits", defaults.bits),
                         .group_size = json.get_or("group_size", defaults.group_size)};
  check(ops::is_mlx_format(format), where, ": ", name_of(format),
        ", expected affine with 4 or 8 bits and groups of 32, 64 or 128, or mxfp4 with 4 bits and "
        "groups of 32");
  return format;
}

std::int64_t size_in(const Json& json, std::string_view key, const std::string& where) {
  if (!json.has(key)) return 0;
  const auto size = json.get<std::int64_t>(key);
  check(size > 0, where, ": ", key, " is ", size, ", expected a positive number");
  return size;
}

}  // namespace

MlxManifest MlxManifest::from_json(const Json& json) {
  MlxManifest manifest;
  manifest.where_ = json.where();
  (void)json.get<int>("bits");
  (void)json.get<int>("group_size");
  manifest.format_ = format_in(json, {}, json.where());
  if (!json.has("layers")) return manifest;
  for (const Json& entry : json.objects("layers")) {
    const auto name = entry.get<std::string>("name");
    const std::string where = str(json.where(), ": layer ", printable(name));
    const Layer layer{.format = format_in(entry, manifest.format_, where),
                      .in_dim = size_in(entry, "in_dim", where),
                      .out_dim = size_in(entry, "out_dim", where)};
    const auto [it, is_new] = manifest.layers_.try_emplace(module_of(name), layer);
    check(is_new, where, ": is listed twice");
  }
  return manifest;
}

std::optional<MlxManifest> MlxManifest::find(const std::vector<fs::path>& folders,
                                             std::string_view name) {
  for (const fs::path& folder : folders) {
    std::error_code error;
    const fs::path file = folder / name;
    if (fs::exists(fs::symlink_status(file, error))) return from_json(Json::parse_file(file));
  }
  return {};
}

MlxManifest::Layer MlxManifest::layer(std::string_view component, std::string_view tensor) const {
  const std::string name = module_of(tensor);
  for (const std::string& listed : {str(component, ".", name), name}) {
    if (const auto it = layers_.find(listed); it != layers_.end()) return it->second;
  }
  return {.format = format_};
}

}  // namespace zimage
