#include <algorithm>

#include "core/check.h"
#include "hub/hub.h"
#include "models/demo_model.h"
#include "models/registry.h"
#include "models/snapshot.h"
#include "zimage/models.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Bytes of the files below a folder, links followed.
std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const auto size = fs::file_size(it->path(), ignored);
    if (!ignored) bytes += size;
  }
  return bytes;
}

bool opens(const fs::path& folder) {
  try {
    (void)Snapshot::open(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void look_in_cache(ModelEntry& entry, const hub::Options& options) {
  const auto cached = hub::find_cached({entry.id, ""}, hub::model_patterns(""), options);
  if (!cached) return;
  entry.folder = cached->folder;
  entry.bytes = bytes_below(cached->folder);
  entry.state = !cached->is_known_partial && opens(cached->folder) ? "ready" : "incomplete";
}

ModelEntry entry_of(const KnownModel& model, const hub::Options& options) {
  ModelEntry entry{std::string(model.alias),
                   std::string(model.id),
                   std::string(model.description),
                   "not downloaded",
                   {},
                   0};
  if (!entry.id.empty()) {
    look_in_cache(entry, options);
    return entry;
  }
  try {
    entry.folder = demo_model_folder();
    entry.bytes = bytes_below(entry.folder);
    entry.state = "built in";
  } catch (const Error&) {
    entry.state = "not found";
  }
  return entry;
}

// "models--org--name" to "org/name".
std::string id_of(const std::string& folder) {
  constexpr std::string_view kStart = "models--";
  if (!folder.starts_with(kStart)) return "";
  std::string id = folder.substr(kStart.size());
  const auto dashes = id.find("--");
  if (dashes == id.npos) return "";
  return id.replace(dashes, 2, "/");
}

bool is_z_image(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_regular_file(folder / "model_index.json", error)) return false;
  try {
    return Json::parse_file(folder / "model_index.json")
        .get_or<std::string>("_class_name", "")
        .starts_with("ZImage");
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::vector<ModelEntry> list_models() {
  const hub::Options options = hub::Options::from_environment();
  std::vector<ModelEntry> entries;
  for (const KnownModel& model : known_models()) entries.push_back(entry_of(model, options));
  const std::size_t known = entries.size();
  std::error_code error;
  for (fs::directory_iterator it(options.cache, error), end; !error && it != end;
       it.increment(error)) {
    ModelEntry entry{"", id_of(it->path().filename().string()), "", "not downloaded", {}, 0};
    if (entry.id.empty() || find_known_model(entry.id) != nullptr) continue;
    look_in_cache(entry, options);
    if (!entry.folder.empty() && is_z_image(entry.folder)) entries.push_back(std::move(entry));
  }
  std::sort(entries.begin() + static_cast<std::ptrdiff_t>(known), entries.end(),
            [](const ModelEntry& a, const ModelEntry& b) { return a.id < b.id; });
  return entries;
}

}  // namespace zimage
