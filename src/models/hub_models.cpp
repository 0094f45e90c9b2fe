#include "models/hub_models.h"

#include <algorithm>

#include "core/check.h"
#include "core/log.h"
#include "io/printable.h"
#include "models/model_spec.h"
#include "models/snapshot.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

hub::Spec hub_spec(const std::string& model) {
  const ModelSpec spec = parse_model_spec(model);
  check(spec.kind == ModelSpec::Kind::kHub, "model ", printable(model),
        " is on this machine; expected a hub id or the alias of one");
  return {spec.repo, spec.revision};
}

hub::Patterns patterns_of(const ModelOptions& options) {
  return hub::model_patterns(normalized_variant(options.weights_variant));
}

// A listing with the weights that are wanted.
hub::Listing list_with_weights(const hub::Spec& spec, const hub::Patterns& patterns,
                               const hub::Options& from, const ModelOptions& options) {
  hub::Listing listing = hub::list_files(spec, from);
  const bool has_weights =
      std::any_of(listing.files.begin(), listing.files.end(), [&](const hub::File& file) {
        return file.path.ends_with(".safetensors") && hub::matches(patterns, file.path);
      });
  check(has_weights, spec.repo, " holds no weights",
        options.weights_variant.empty() ? "" : " of the variant ",
        printable(options.weights_variant), "; expected .safetensors files");
  return listing;
}

// Looks before 20 GB of something else are fetched.
void check_is_z_image(const hub::Spec& spec, const hub::Listing& listing,
                      const hub::Options& from) {
  const auto holds = [&](std::string_view path) {
    return std::any_of(listing.files.begin(), listing.files.end(),
                       [&](const hub::File& file) { return file.path == path; });
  };
  check(holds("model_index.json"), spec.repo,
        " is no Z-Image snapshot: it holds no model_index.json; a checkpoint file in it can be "
        "downloaded by hand and given as the model");
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

DownloadPlan plan_download(const std::string& model, const ModelOptions& options) {
  const hub::Spec spec = hub_spec(model);
  const hub::Options from = hub_options(options);
  const hub::Patterns patterns = patterns_of(options);
  const hub::Listing listing = list_with_weights(spec, patterns, from, options);
  DownloadPlan plan{.repo = spec.repo, .commit = listing.commit, .folder = {}, .items = {}};
  plan.folder = hub::snapshot_of(spec, listing.commit, from);
  for (const hub::File& file : listing.files) {
    if (!hub::matches(patterns, file.path)) continue;
    const bool is_there =
        hub::is_cached(spec, listing.commit, file, from) || hub::has_blob(spec, file, from);
    plan.items.push_back({file.path, file.size, is_there});
  }
  return plan;
}

fs::path download_model(const std::string& model, const ModelOptions& options) {
  const hub::Spec spec = hub_spec(model);
  const hub::Options from = hub_options(options);
  const hub::Patterns patterns = patterns_of(options);
  if (from.is_offline) {
    const auto cached = hub::find_cached(spec, patterns, from);
    if (cached && cached->is_known_whole) return cached->folder;
  }
  return fetch_files(spec, list_with_weights(spec, patterns, from, options), patterns, from,
                     options);
}

}  // namespace zimage
