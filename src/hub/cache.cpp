#include "hub/cache.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "core/check.h"
#include "hub/digest.h"
#include "hub/hub_json.h"
#include "io/file.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTreeBytes = std::size_t{64} << 20;

bool is_commit(const std::string& text) { return is_hex(text, 40); }

std::string revision_of(const Spec& spec) { return spec.revision.empty() ? "main" : spec.revision; }

fs::path tree_path(const Spec& spec, const std::string& commit, const Options& options) {
  return repo_folder(spec, options) / "trees" / (commit + ".json");
}

// Size of what is at `path`, links followed.
std::optional<std::uint64_t> size_at(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return {};
  return size;
}

std::vector<std::string> snapshots(const Spec& spec, const Options& options) {
  std::vector<std::string> commits;
  std::error_code error;
  for (fs::directory_iterator it(repo_folder(spec, options) / "snapshots", error), end;
       !error && it != end; it.increment(error)) {
    if (std::string name = it->path().filename().string(); is_commit(name)) {
      commits.push_back(std::move(name));
    }
  }
  std::sort(commits.begin(), commits.end());
  return commits;
}

// Of no other thread, process or container that shares the cache.
std::string unique_name() {
  static std::atomic<unsigned> count = 0;
  static const unsigned of_process = std::random_device()();
  return str(".zimage-", getpid(), "-", of_process, "-", count++);
}

// FAT and some network file systems.
bool has_no_links(const std::error_code& error) {
  return error == std::errc::operation_not_permitted || error == std::errc::not_supported ||
         error == std::errc::operation_not_supported || error == std::errc::function_not_supported;
}

std::optional<CachedSnapshot> snapshot_at(const Spec& spec, const std::string& commit,
                                          const Patterns& patterns, const Options& options) {
  CachedSnapshot snapshot{.folder = snapshot_of(spec, commit, options), .commit = commit};
  std::error_code error;
  if (!fs::is_directory(snapshot.folder, error)) return {};
  const auto tree = read_tree(spec, commit, options);
  if (!tree) return snapshot;
  bool has_match = false, has_all = true;
  for (const File& file : tree->files) {
    if (!matches(patterns, file.path)) continue;
    has_match = true;
    has_all = has_all && is_cached(spec, commit, file, options);
  }
  snapshot.is_known_whole = has_match && has_all;
  snapshot.is_known_partial = !snapshot.is_known_whole;
  return snapshot;
}

}  // namespace

void create_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error && fs::is_directory(folder, error), folder.string(),
        ": cannot create the folder: ", error.message());
}

void write_text(const fs::path& path, std::string_view text) {
  create_folders(path.parent_path());
  write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

fs::path repo_folder(const Spec& spec, const Options& options) {
  const auto slash = std::min(spec.repo.find('/'), spec.repo.size() - 1);
  return options.cache /
         str("models--", spec.repo.substr(0, slash), "--", spec.repo.substr(slash + 1));
}

fs::path snapshot_of(const Spec& spec, const std::string& commit, const Options& options) {
  return repo_folder(spec, options) / "snapshots" / commit;
}

std::vector<std::string> cached_commits(const Spec& spec, const Options& options) {
  if (is_commit(spec.revision)) return {spec.revision};
  std::ifstream file(repo_folder(spec, options) / "refs" / revision_of(spec));
  std::string commit;
  if (file >> commit && is_commit(commit)) return {commit};
  if (spec.revision.empty()) return snapshots(spec, options);
  return {};
}

void write_ref(const Spec& spec, const std::string& commit, const Options& options) {
  if (spec.revision == commit) return;
  write_text(repo_folder(spec, options) / "refs" / revision_of(spec), commit);
}

std::optional<Listing> read_tree(const Spec& spec, const std::string& commit,
                                 const Options& options) {
  const fs::path path = tree_path(spec, commit, options);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};
  try {
    const auto bytes = read_file(path, kMaxTreeBytes);
    const auto json = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (json.at("format_version") != 1) return {};
    Listing listing{.commit = commit, .files = {}};
    for (const auto& [name, entry] : json.at("files").items()) {
      File file{.path = name, .blob = "", .git_sha1 = ""};
      file.is_lfs = entry.contains("lfs_sha256") && entry.at("lfs_sha256").is_string();
      file.git_sha1 = entry.at("blob_id").get<std::string>();
      file.blob = file.is_lfs ? entry.at("lfs_sha256").get<std::string>() : file.git_sha1;
      file.size = size_in(entry.at(file.is_lfs ? "lfs_size" : "size"), name);
      listing.files.push_back(std::move(file));
    }
    return listing;
  } catch (const std::exception&) {
    return {};  // another client's, or damaged: as if it were not there
  }
}

void write_tree(const Spec& spec, const Listing& listing, const Options& options) {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  for (const File& file : listing.files) {
    auto& entry = files[file.path];
    entry = {{"size", file.size}, {"blob_id", file.git_sha1}};
    if (file.is_lfs) {
      entry["lfs_sha256"] = file.blob;
      entry["lfs_size"] = file.size;
    }
  }
  const nlohmann::ordered_json tree{{"format_version", 1}, {"files", files}};
  write_text(tree_path(spec, listing.commit, options), tree.dump(2));
}

std::optional<CachedSnapshot> find_cached(const Spec& spec, const Patterns& patterns,
                                          const Options& options) {
  std::optional<CachedSnapshot> best;
  for (const std::string& commit : cached_commits(spec, options)) {
    auto snapshot = snapshot_at(spec, commit, patterns, options);
    if (!snapshot) continue;
    if (snapshot->is_known_whole) return snapshot;
    if (!best || (best->is_known_partial && !snapshot->is_known_partial)) best = snapshot;
  }
  return best;
}

bool is_cached(const Spec& spec, const std::string& commit, const File& file,
               const Options& options) {
  return size_at(snapshot_of(spec, commit, options) / file.path) == file.size;
}

void link_into_snapshot(const Spec& spec, const std::string& commit, const File& file,
                        const Options& options) {
  const fs::path place = snapshot_of(spec, commit, options) / file.path;
  const fs::path blob = repo_folder(spec, options) / "blobs" / file.blob;
  create_folders(place.parent_path());
  const fs::path target = blob.lexically_relative(place.parent_path());
  const fs::path temporary = place.parent_path() / unique_name();
  std::error_code error;
  fs::create_symlink(target, temporary, error);
  if (!error) {
    fs::rename(temporary, place, error);
    std::error_code ignored;
    if (error) fs::remove(temporary, ignored);
  } else if (has_no_links(error)) {
    fs::rename(blob, place, error);
  }
  check(!error, place.string(), ": cannot put the file here: ", error.message());
}

}  // namespace zimage::hub
