// Models and control networks in MLX's formats, as its loaders for Z-Image expect them.
#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "hub/cache.h"
#include "io/file.h"
#include "io/new_folder.h"
#include "io/open_file.h"
#include "io/printable.h"
#include "models/control_files.h"
#include "models/hub_models.h"
#include "models/mlx_manifest.h"
#include "models/model_spec.h"
#include "models/resolve.h"
#include "pipeline/mlx_writer.h"
#include "pipeline/quantizable.h"
#include "zimage/quantize.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

ops::MlxFormat format_of(const MlxOptions& options) {
  check_usage(options.mode == "affine" || options.mode == "mxfp4", "--mode ",
              printable(options.mode), ": expected affine or mxfp4");
  const bool is_affine = options.mode == "affine";
  const ops::MlxFormat format{
      .mode = is_affine ? ops::MlxFormat::Mode::kAffine : ops::MlxFormat::Mode::kMxfp4,
      .bits = options.bits,
      .group_size = options.group_size};
  if (is_affine) {
    check_usage(format.bits == 4 || format.bits == 8, "--bits ", format.bits, ": expected 4 or 8");
    check_usage(ops::is_mlx_format(format), "--group-size ", format.group_size,
                ": expected 32, 64 or 128");
  }
  check_usage(ops::is_mlx_format(format), "--mode mxfp4 with --bits ", format.bits,
              " and --group-size ", format.group_size, ": expected --bits 4 and --group-size 32");
  return format;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative =
      fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !relative.empty() && *relative.begin() != "..";
}

// Files that are copied, from and to below the new folder.
struct Copies {
  static constexpr int kMostFolders = 16;  // below each other: links may lead in wider circles

  std::vector<std::pair<fs::path, fs::path>> files;

  void add_file(const fs::path& from, const fs::path& to) {
    std::error_code error;
    if (fs::is_regular_file(from, error)) files.emplace_back(from, to);
  }
  void add_folder(const fs::path& root, const fs::path& name) {
    std::error_code error;
    fs::recursive_directory_iterator it(root / name,
                                        fs::directory_options::follow_directory_symlink, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      const bool is_circle = it->is_symlink(error) && it->is_directory(error) &&
                             is_inside(it->path().parent_path(), it->path());
      if (is_circle || it.depth() == kMostFolders) it.disable_recursion_pending();
      add_file(it->path(), it->path().lexically_relative(root));
    }
    check(!error || error == std::errc::no_such_file_or_directory, shown(root / name),
          ": cannot be read: ", error.message());
  }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    std::error_code error;
    for (const auto& [from, to] : files) {
      const std::uint64_t size = fs::file_size(from, error);
      if (!error) sum += size;
    }
    return sum;
  }
  void run(const fs::path& folder) const {
    for (const auto& [from, to] : files) {
      std::error_code error;
      fs::create_directories((folder / to).parent_path(), error);
      if (!error) fs::copy_file(from, folder / to, error);
      check(!error, shown(from), ": cannot be copied: ", error.message());
    }
  }
};

// Texts of the top folder, and what is not quantised.
Copies copies_of(const Snapshot& snapshot) {
  Copies copies;
  const fs::path& root = snapshot.root();
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".json" || ending == ".txt" || ending == ".md") {
      copies.add_file(entry.path(), entry.path().filename());
    }
  }
  for (const char* name : {"tokenizer", "assets", "scheduler", "vae"}) {
    copies.add_folder(root, name);
  }
  for (const char* name : {"transformer", "text_encoder"}) {
    copies.add_file(root / name / "config.json", fs::path(name) / "config.json");
  }
  return copies;
}

json manifest_of(const MlxOptions& options) {
  return {{"bits", options.bits},
          {"group_size", options.group_size},
          {"mode", options.mode},
          {"layers", json::array()}};
}

// folder: of the files in the result, with "/" or empty.
void add_layers(json& manifest, const MlxWriter& writer, const std::string& folder) {
  for (const MlxLayer& layer : writer.layers()) {
    manifest["layers"].push_back({{"name", layer.name},
                                  {"shape", {layer.shape[0], layer.shape[1]}},
                                  {"in_dim", layer.shape[1]},
                                  {"out_dim", layer.shape[0]},
                                  {"file", folder + layer.file},
                                  {"bits", manifest["bits"]},
                                  {"group_size", manifest["group_size"]},
                                  {"mode", manifest["mode"]}});
  }
}

void write_json(const fs::path& path, const json& value) {
  const std::string text = value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  write_file(path, std::as_bytes(std::span(text)));
}

// Counts tensors over several writers.
class Progress {
 public:
  Progress(const MlxOptions& options, int tensors) : options_(options), tensors_(tensors) {}

  void operator()(const std::string& name, bool is_quantized) {
    if (options_.on_tensor) options_.on_tensor(name, is_quantized);
    if (options_.on_progress) options_.on_progress(++done_, tensors_);
  }

 private:
  const MlxOptions& options_;
  int tensors_, done_ = 0;
};

void log_done(const json& manifest, const ops::MlxFormat& format, int tensors) {
  log_info(name_of(format), ": ", manifest["layers"].size(), " of ", tensors,
           " tensors are quantised");
}

// Whatever the options replaced: the folder vae/ is what will be copied.
void check_vae(const Snapshot& snapshot) {
  for (const fs::path& file : snapshot.weight_files("vae")) {
    check_usage(is_inside(file.parent_path(), snapshot.root() / "vae"), shown(file),
                ": the VAE is copied as the model's folder vae/; expected a model with its own VAE "
                "there");
  }
}

// root: the folder of the source, where it is one.
void check_output(const fs::path& output, const fs::path& root) {
  check_usage(!output.empty(), "--output: no text; expected a new folder");
  check_usage(root.empty() || !is_inside(output, root), "--output ", shown(output),
              " lies inside the source ", shown(root), "; expected a folder of its own");
}

// What was quantised. Of a snapshot on the hub its id and the revision or, without one, the commit,
// under other keys where it is not all of that model; what replaced a component: a file's name or,
// on the hub, as it was given.
void add_origin(json& manifest, const std::string& model, const ModelOptions& options,
                const Snapshot& snapshot) {
  std::string prefix;
  for (const auto& [component, file] : {std::pair("transformer", options.transformer),
                                        std::pair("text_encoder", options.text_encoder)}) {
    if (file.empty()) continue;
    std::error_code error;
    manifest[component] = (fs::exists(file, error) ? file.filename() : file).string();
    prefix = "base_";
  }
  const ModelSpec spec = parse_model_spec(model);
  if (spec.kind != ModelSpec::Kind::kHub || !spec.file.empty()) return;
  // A checkpoint file has the root of its base model.
  const fs::path repository = hub::repo_folder({spec.repo, ""}, hub_options(options));
  if (snapshot.root().parent_path().parent_path() != repository) return;
  manifest[prefix + "model_id"] = spec.repo;
  manifest[prefix + "revision"] =
      spec.revision.empty() ? snapshot.root().filename().string() : spec.revision;
}

}  // namespace

void quantize_mlx(const std::string& model, const fs::path& output, const MlxOptions& options) {
  const ops::MlxFormat format = format_of(options);
  const Snapshot snapshot = resolve_model(model, options.model).snapshot;
  check_output(output, snapshot.root());
  check_vae(snapshot);
  const std::array<std::string, 2> components{"transformer", "text_encoder"};
  std::vector<WeightMap> weights;
  for (const std::string& component : components) {
    weights.push_back(load_quantizable(snapshot, component));
  }
  (void)load_quantizable(snapshot, "vae");
  json manifest = manifest_of(options);
  add_origin(manifest, model, options.model, snapshot);
  std::vector<MlxWriter> writers;
  const Copies copies = copies_of(snapshot);
  std::uint64_t bytes = copies.bytes();
  int tensors = 0;
  for (std::size_t i = 0; i < components.size(); ++i) {
    writers.emplace_back(weights[i], format, options.max_shard_bytes);
    add_layers(manifest, writers[i], components[i] + "/");
    bytes += writers[i].bytes();
    tensors += writers[i].tensors();
  }
  NewFolder folder(output);
  check_space(folder.folder(), bytes, output);
  copies.run(folder.folder());
  Progress progress(options, tensors);
  for (std::size_t i = 0; i < components.size(); ++i) {
    writers[i].write(folder.folder() / components[i], std::ref(progress));
  }
  write_json(folder.folder() / kMlxManifest, manifest);
  folder.commit();
  log_done(manifest, format, tensors);
}

void quantize_control_mlx(const std::string& control, const std::string& file,
                          const fs::path& output, const MlxOptions& options) {
  const ops::MlxFormat format = format_of(options);
  ModelOptions how = options.model;
  how.controlnet = control;
  how.control_file = file;
  const ControlFiles files = resolve_control(how, {.network = "--input", .file = "--file"});
  check_output(output, fs::is_directory(control) ? fs::path(control) : fs::path());
  const WeightMap weights = load_control(files);
  check_control_quantizable(weights);
  json manifest = manifest_of(options);
  MlxWriter writer(weights, format, std::numeric_limits<std::uint64_t>::max());
  add_layers(manifest, writer, "");
  Copies copies;
  if (!files.config.empty()) copies.add_file(files.config, files.config.filename());
  NewFolder folder(output);
  check_space(folder.folder(), writer.bytes() + copies.bytes(), output);
  copies.run(folder.folder());
  writer.write(folder.folder(), Progress(options, writer.tensors()));
  write_json(folder.folder() / kMlxControlManifest, manifest);
  folder.commit();
  log_done(manifest, format, writer.tensors());
}

}  // namespace zimage
