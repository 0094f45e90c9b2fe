#include "models/resolve.h"

#include "core/check.h"
#include "core/log.h"
#include "io/printable.h"
#include "models/component_files.h"
#include "models/demo_model.h"
#include "models/hub_models.h"
#include "models/mlx_manifest.h"
#include "models/model_spec.h"
#include "models/registry.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// A file of this machine, or one of a repository that is fetched.
fs::path named_file(const std::string& flag, const std::string& text, const ModelOptions& options) {
  const fs::path file = expanded_path(text);
  std::error_code error;
  if (fs::is_regular_file(file, error)) return file;
  const auto spec = fs::exists(file, error) ? std::nullopt : parse_hub_spec(text);
  const std::string what = str(flag, " ", printable(file.string()));
  check(spec.has_value(), what,
        ": no such file; expected a checkpoint or, on the hub, org/name:FILE");
  return hub_checkpoint({spec->repo, spec->revision}, spec->file, what, options);
}

// The files that the options name for components.
ComponentFiles named_files(const ModelOptions& options) {
  ComponentFiles files;
  const auto add = [&](const std::string& component, const fs::path& given) {
    if (given.empty()) return;
    const std::string flag = component == "text_encoder" ? "--text-encoder" : "--" + component;
    const fs::path file = named_file(flag, given.string(), options);
    check_holds(file, component);
    files[component] = file;
  };
  add("transformer", options.transformer);
  add("text_encoder", options.text_encoder);
  add("vae", options.vae);
  return files;
}

Snapshot open_with(const fs::path& root, const ModelOptions& options, const ComponentFiles& files) {
  return Snapshot::open(root, {.weights_variant = options.weights_variant, .weight_files = files});
}

// Configurations and tokenizer, and the weights of the components that no file replaces.
hub::Patterns patterns_without(const ComponentFiles& files, const ModelOptions& options) {
  if (files.empty()) return hub::model_patterns(normalized_variant(options.weights_variant));
  hub::Patterns patterns = hub::config_patterns();
  patterns.push_back(std::string(kMlxManifest));
  for (const std::string_view component : kWeightComponents) {
    if (files.contains(std::string(component))) continue;
    patterns.push_back(str(component, "/*.safetensors"));
    patterns.push_back(str(component, "/*.safetensors.index*.json"));
  }
  return patterns;
}

fs::path root_on_hub(const ModelSpec& spec, const ModelOptions& options,
                     const ComponentFiles& files) {
  return hub_snapshot({spec.repo, spec.revision}, patterns_without(files, options), options,
                      [&](const fs::path& folder) {
                        try {
                          (void)open_with(folder, options, files);
                          return true;
                        } catch (const Error&) {
                          return false;
                        }
                      });
}

// Folder with configurations: a snapshot, the demo model or a hub model.
fs::path root_of(const ModelSpec& spec, const ModelOptions& options, const ComponentFiles& files) {
  switch (spec.kind) {
    case ModelSpec::Kind::kHub: return root_on_hub(spec, options, files);
    case ModelSpec::Kind::kDemo: return demo_model_folder();
    case ModelSpec::Kind::kFolder: return spec.path;
    case ModelSpec::Kind::kFile: break;
  }
  throw Error(str("base model ", printable(spec.path.string()),
                  " is a file; expected a snapshot folder, a known name or a hub id"));
}

bool holds_components(const ModelSpec& spec) {
  return spec.kind == ModelSpec::Kind::kFile || !spec.file.empty() ||
         (spec.kind == ModelSpec::Kind::kFolder && !Snapshot::is_snapshot(spec.path));
}

// The family of a file or of a folder of files: by what lies in and around it, by its name, by that
// of its repository, else Turbo. repo: that it is of, or empty.
FamilyChoice family_of_files(const fs::path& given, const std::string& repo) {
  fs::path path = fs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "folder/"
  for (const fs::path& folder : {path, path.parent_path(), path.parent_path().parent_path()}) {
    if (const auto family = family_of_metadata(folder)) return {*family, ""};
  }
  const std::string name = path.filename().string();
  const bool is_told = repo.empty() || family_of_name(name).has_value();
  return choose_family(is_told ? name : str(repo, ":", name), {});
}

// A model made of checkpoint files, with the configurations of another one.
ResolvedModel from_files(const ModelSpec& spec, const ModelOptions& options, ComponentFiles files) {
  const ComponentFiles found = spec.kind == ModelSpec::Kind::kFile
                                   ? components_in_file(spec.path)
                                   : components_in_folder(spec.path, files);
  files.insert(found.begin(), found.end());  // those named by options stay
  FamilyChoice choice = family_of_files(spec.path, spec.repo);
  std::string base = options.base_model;
  if (base.empty()) {
    for (const KnownModel& model : known_models()) {
      if (model.family == choice.family && base.empty()) base = model.alias;
    }
    if (!choice.note.empty()) log_info(choice.note, "; --base-model names another");
  }
  const ModelSpec base_spec = parse_model_spec(base);
  check(!holds_components(base_spec), "--base-model ", printable(base),
        " is no snapshot folder, known name or hub id");
  const fs::path root = root_of(base_spec, options, files);
  if (!options.base_model.empty()) choice = choose_family(options.base_model, root);
  return {open_with(root, options, files), choice.family};
}

// A checkpoint file on the hub becomes one of this machine.
ModelSpec fetched(ModelSpec spec, const std::string& model, const ModelOptions& options) {
  if (spec.kind != ModelSpec::Kind::kHub) return spec;
  const hub::Spec repository{spec.repo, spec.revision};
  const bool is_known = find_known_model(spec.repo) != nullptr;
  if (spec.file.empty() && (is_known || !is_checkpoint_repository(repository, options)))
    return spec;
  spec.path = hub_checkpoint(repository, spec.file, str("model ", printable(model)), options);
  spec.kind = ModelSpec::Kind::kFile;
  return spec;
}

}  // namespace

ResolvedModel resolve_model(const std::string& model, const ModelOptions& options) {
  const ModelSpec spec = fetched(parse_model_spec(model), model, options);
  const ComponentFiles files = named_files(options);
  if (holds_components(spec)) return from_files(spec, options, files);
  check(options.base_model.empty(), "--base-model ", printable(options.base_model), ": ",
        printable(model.empty() ? "the default model" : model),
        " has configurations of its own; it serves models that are files");
  const fs::path root = root_of(spec, options, files);
  if (spec.kind == ModelSpec::Kind::kDemo) return {open_with(root, options, files), Family::kDemo};
  const FamilyChoice choice =
      choose_family(spec.kind == ModelSpec::Kind::kHub ? spec.repo : spec.path.string(), root);
  if (!choice.note.empty()) log_info(choice.note);
  return {open_with(root, options, files), choice.family};
}

}  // namespace zimage
