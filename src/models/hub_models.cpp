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

// What the cache knows of a snapshot's files.
struct CachedListing {
  hub::CachedSnapshot snapshot;
  hub::Listing listing;
  bool is_of_commit;  // else of what lies in the folder: caches of older clients keep no listing
};

std::optional<CachedListing> cached_listing(const hub::Spec& spec, const hub::Options& from) {
  const auto snapshot = hub::find_cached(spec, {}, from);
  if (!snapshot) return {};
  const auto tree = hub::read_tree(spec, snapshot->commit, from);
  return CachedListing{*snapshot, tree ? *tree : listing_of(snapshot->folder), tree.has_value()};
}

ModelSpec hub_model(const std::string& model) {
  ModelSpec spec = parse_model_spec(model);
  check(spec.kind == ModelSpec::Kind::kHub, "model ", printable(model),
        " is on this machine; expected a hub id or the alias of one");
  return spec;
}

hub::Listing listing_on_hub(const std::string& model, const hub::Options& from) {
  const ModelSpec named = hub_model(model);
  return hub::list_files({named.repo, named.revision}, from);
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

// What `zimage download` fetches: the files of a model or network or, where one is named or the
// repository is one of checkpoint files, a single file.
struct Download {
  hub::Spec spec;
  hub::Listing listing;
  hub::Patterns patterns;
  std::string file;  // empty: the model's files
};

Download download_of(const std::string& model, hub::Listing listing, const ModelOptions& options) {
  const ModelSpec named = hub_model(model);
  Download download{.spec = {named.repo, named.revision},
                    .listing = std::move(listing),
                    .patterns = {},
                    .file = {}};
  const bool is_of_files =
      is_of_checkpoint_files(download.listing) && !is_one_network(download.listing);
  if (!named.file.empty() || is_of_files) {
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

// Where what download_of() tells lies in the cache; nothing when it is not known to be whole.
std::optional<fs::path> cached_download(const std::string& model, const hub::Options& from,
                                        const ModelOptions& options) {
  const ModelSpec named = hub_model(model);
  const auto known = cached_listing({named.repo, named.revision}, from);
  if (!known) return {};
  if (!known->is_of_commit) {
    if (named.file.empty() || !lists(known->listing, named.file)) return {};
    return known->snapshot.folder / named.file;
  }
  const Download wanted = download_of(model, known->listing, options);
  const auto cached = hub::find_cached(wanted.spec, wanted.patterns, from);
  if (!cached || !cached->is_known_whole) return {};
  return place_of(cached->folder, wanted.file);
}

// Whether every pattern has a file.
bool all_match(const hub::Listing& listing, const hub::Patterns& patterns) {
  return std::all_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return std::any_of(listing.files.begin(), listing.files.end(),
                       [&](const hub::File& file) { return hub::matches({pattern}, file.path); });
  });
}

// Looks before 20 GB of something else are fetched.
void check_is_z_image(const hub::Spec& spec, const hub::Listing& listing,
                      const hub::Options& from) {
  check(lists(listing, "model_index.json"), spec.repo,
        is_of_checkpoint_files(listing)
            ? " holds checkpoint files and no model_index.json; expected a snapshot"
            : " is no Z-Image model: it holds no model_index.json and no checkpoint file");
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
  if (const auto known = cached_listing(spec, from)) {
    const bool is_listed = !wanted.empty() && lists(known->listing, wanted);
    if (!known->is_of_commit) {
      if (from.is_offline || is_listed) {
        const hub::Patterns patterns = patterns_of(known->listing);
        if (from.is_offline || all_match(known->listing, patterns)) return known->snapshot.folder;
      }
    } else if (wanted.empty() || from.is_offline || is_listed) {
      // What the cache does not list may be new on the hub.
      const auto chosen = hub::find_cached(spec, patterns_of(known->listing), from);
      // Another snapshot may be whole because it lists less.
      std::error_code error;
      if (chosen && chosen->is_known_whole &&
          (wanted.empty() || fs::exists(chosen->folder / wanted, error)))
        return chosen->folder;
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
  if (const auto known = cached_listing(spec, from)) {
    const bool is_of_files = is_of_checkpoint_files(known->listing);
    // Without the commit's listing only the presence of model_index.json is certain.
    const bool is_certain =
        lists(known->listing, "model_index.json") || (is_of_files && known->is_of_commit);
    if (is_certain || from.is_offline) return is_of_files;
  }
  return !from.is_offline && is_of_checkpoint_files(hub::list_files(spec, from));
}

DownloadPlan plan_download(const std::string& model, const ModelOptions& options) {
  const hub::Options from = hub_options(options);
  const Download wanted = download_of(model, listing_on_hub(model, from), options);
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
    if (const auto path = cached_download(model, from, options)) return *path;
  }
  const Download wanted = download_of(model, listing_on_hub(model, from), options);
  return place_of(fetch_files(wanted.spec, wanted.listing, wanted.patterns, from, options),
                  wanted.file);
}

}  // namespace zimage
