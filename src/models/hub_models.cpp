#include "models/hub_models.h"

#include <algorithm>

#include "core/check.h"
#include "core/log.h"
#include "hub/cache.h"
#include "io/printable.h"
#include "models/model_spec.h"
#include "models/repository_files.h"
#include "models/snapshot.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

ModelSpec hub_model(const std::string& model) {
  ModelSpec spec = parse_model_spec(model);
  check(spec.kind == ModelSpec::Kind::kHub, "model ", printable(model),
        " is on this machine; expected a hub id or the alias of one");
  return spec;
}

hub::Patterns patterns_of(const ModelOptions& options) {
  return hub::model_patterns(normalized_variant(options.weights_variant));
}

void check_weights(const hub::Spec& spec, const hub::Listing& listing,
                   const hub::Patterns& patterns, const ModelOptions& options) {
  const bool has_weights =
      std::any_of(listing.files.begin(), listing.files.end(), [&](const hub::File& file) {
        return file.path.ends_with(".safetensors") && hub::matches(patterns, file.path);
      });
  check(has_weights, spec.repo, " holds no weights",
        options.weights_variant.empty() ? "" : " of the variant ",
        printable(options.weights_variant), "; expected .safetensors files");
}

// What `zimage download` fetches: a model's files or, of a repository without .safetensors files or
// where one is named, a single file.
struct Download {
  hub::Spec spec;
  hub::Listing listing;
  hub::Patterns patterns;
  std::string file;  // empty: the model's files
};

Download download_of(const std::string& model, const hub::Options& from,
                     const ModelOptions& options) {
  const ModelSpec named = hub_model(model);
  Download download{
      .spec = {named.repo, named.revision}, .listing = {}, .patterns = {}, .file = {}};
  download.listing = hub::list_files(download.spec, from);
  const std::vector<std::string> names = names_of(download.listing);
  const bool has_safetensors = std::any_of(
      names.begin(), names.end(), [](const auto& name) { return name.ends_with(".safetensors"); });
  if (!named.file.empty() || (!has_safetensors && is_of_checkpoint_files(download.listing))) {
    download.file = choose_checkpoint(download.listing, named.file, named.repo,
                                      str("model ", printable(model)));
    download.patterns = {hub::literal_pattern(download.file)};
    return download;
  }
  download.patterns = patterns_of(options);
  check_weights(download.spec, download.listing, download.patterns, options);
  return download;
}

fs::path place_of(const fs::path& folder, const std::string& file) {
  return file.empty() ? folder : folder / file;
}

// Looks before 20 GB of something else are fetched.
void check_is_z_image(const hub::Spec& spec, const hub::Listing& listing,
                      const hub::Options& from) {
  check(lists(listing, "model_index.json"), spec.repo,
        " is no Z-Image model: it holds no model_index.json and no checkpoint file");
  Snapshot::check_class(hub::download(spec, listing, {"model_index.json"}, from, {}));
}

}  // namespace

hub::Options hub_options(const ModelOptions& options) {
  hub::Options hub_options = hub::Options::from_environment();
  hub_options.is_cancelled = options.is_cancelled;
  return hub_options;
}

fs::path fetch_files(const hub::Spec& spec, const hub::Listing& listing,
                     const hub::Patterns& patterns, const hub::Options& from,
                     const ModelOptions& options) {
  return hub::download(spec, listing, patterns, from, [&](const hub::Progress& p) {
    if (options.on_download) {
      options.on_download({p.files_done, p.files, p.bytes_done, p.bytes});
    }
  });
}

fs::path hub_snapshot(const hub::Spec& spec, const hub::Patterns& patterns,
                      const ModelOptions& options,
                      const std::function<bool(const fs::path&)>& is_whole) {
  const hub::Options from = hub_options(options);
  if (const auto cached = hub::find_cached(spec, patterns, from)) {
    if (cached->is_known_whole) return cached->folder;
    // Without the hub it is all there is, and opening it says what lacks.
    if (from.is_offline) return cached->folder;
    if (!cached->is_known_partial && is_whole(cached->folder)) return cached->folder;
  }
  const hub::Listing listing = hub::list_files(spec, from);
  check_is_z_image(spec, listing, from);
  return fetch_files(spec, listing, patterns, from, options);
}

fs::path chosen_files(const hub::Spec& spec, const std::string& wanted,
                      const std::function<hub::Patterns(const hub::Listing&)>& patterns_of,
                      const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  if (const auto cached = hub::find_cached(spec, {}, from)) {
    const auto listing = hub::read_tree(spec, cached->commit, from);
    // What the cache does not list may be new on the hub.
    if (listing && (wanted.empty() || from.is_offline || lists(*listing, wanted))) {
      const auto chosen = hub::find_cached(spec, patterns_of(*listing), from);
      if (chosen && chosen->is_known_whole) return chosen->folder;
    } else if (!listing && from.is_offline) {
      (void)patterns_of(listing_of(cached->folder));
      return cached->folder;
    }
  }
  const hub::Listing listing = hub::list_files(spec, from);
  return fetch_files(spec, listing, patterns_of(listing), from, options);
}

fs::path hub_checkpoint(const hub::Spec& spec, const std::string& file, const std::string& what,
                        const ModelOptions& options) {
  std::string chosen = file;
  const fs::path folder = chosen_files(
      spec, file,
      [&](const hub::Listing& listing) {
        chosen = choose_checkpoint(listing, file, spec.repo, what);
        return hub::Patterns{hub::literal_pattern(chosen)};
      },
      options);
  return folder / chosen;
}

bool is_checkpoint_repository(const hub::Spec& spec, const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  const auto cached = hub::find_cached(spec, {}, from);
  if (!cached) return !from.is_offline && is_of_checkpoint_files(hub::list_files(spec, from));
  const auto listing = hub::read_tree(spec, cached->commit, from);
  return is_of_checkpoint_files(listing ? *listing : listing_of(cached->folder));
}

DownloadPlan plan_download(const std::string& model, const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  const Download wanted = download_of(model, from, options);
  const std::string& commit = wanted.listing.commit;
  DownloadPlan plan{.repo = wanted.spec.repo, .commit = commit, .folder = {}, .items = {}};
  plan.folder = hub::snapshot_of(wanted.spec, commit, from);
  for (const hub::File& file : wanted.listing.files) {
    if (!hub::matches(wanted.patterns, file.path)) continue;
    const bool is_there =
        hub::is_cached(wanted.spec, commit, file, from) || hub::has_blob(wanted.spec, file, from);
    plan.items.push_back({file.path, file.size, is_there});
  }
  return plan;
}

fs::path download_model(const std::string& model, const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  if (from.is_offline) {
    const ModelSpec named = hub_model(model);
    const auto patterns =
        named.file.empty() ? patterns_of(options) : hub::Patterns{hub::literal_pattern(named.file)};
    const auto cached = hub::find_cached({named.repo, named.revision}, patterns, from);
    const fs::path path = cached ? place_of(cached->folder, named.file) : fs::path();
    std::error_code error;
    if (cached && cached->is_known_whole && fs::exists(path, error)) return path;
  }
  const Download wanted = download_of(model, from, options);
  return place_of(fetch_files(wanted.spec, wanted.listing, wanted.patterns, from, options),
                  wanted.file);
}

}  // namespace zimage
