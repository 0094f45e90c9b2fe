#include "models/hub_models.h"

#include "core/check.h"
#include "core/log.h"
#include "io/printable.h"
#include "models/model_spec.h"
#include "models/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

hub::Options hub_options(const ModelOptions& options) {
  hub::Options hub_options = hub::Options::from_environment();
  hub_options.is_cancelled = options.is_cancelled;
  return hub_options;
}

fs::path fetch(const hub::Spec& spec, const hub::Patterns& patterns, const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  const hub::Listing listing = hub::list_files(spec, from);
  return hub::download(spec, listing, patterns, from, [&](const hub::Progress& p) {
    if (options.on_download) {
      options.on_download({p.files_done, p.files, p.bytes_done, p.bytes});
    }
  });
}

hub::Spec hub_spec(const std::string& model) {
  const ModelSpec spec = parse_model_spec(model);
  check(spec.kind == ModelSpec::Kind::kHub, "model ", printable(model),
        " is on this machine; expected a hub id or the alias of one");
  return {spec.repo, spec.revision};
}

hub::Patterns patterns_of(const ModelOptions& options) {
  return hub::model_patterns(normalized_variant(options.weights_variant));
}

}  // namespace

fs::path hub_snapshot(const hub::Spec& spec, const hub::Patterns& patterns,
                      const ModelOptions& options,
                      const std::function<bool(const fs::path&)>& is_whole) {
  const auto cached = hub::find_cached(spec, patterns, hub_options(options));
  if (cached && (cached->is_known_whole || is_whole(cached->folder))) return cached->folder;
  return fetch(spec, patterns, options);
}

DownloadPlan plan_download(const std::string& model, const ModelOptions& options) {
  const hub::Spec spec = hub_spec(model);
  const hub::Options from = hub_options(options);
  const hub::Listing listing = hub::list_files(spec, from);
  DownloadPlan plan{.repo = spec.repo, .commit = listing.commit, .folder = {}, .items = {}};
  plan.folder = hub::snapshot_of(spec, listing.commit, from);
  for (const hub::File& file : listing.files) {
    if (!hub::matches(patterns_of(options), file.path)) continue;
    plan.items.push_back({file.path, file.size, hub::is_cached(spec, listing.commit, file, from)});
  }
  return plan;
}

fs::path download_model(const std::string& model, const ModelOptions& options) {
  return fetch(hub_spec(model), patterns_of(options), options);
}

}  // namespace zimage
