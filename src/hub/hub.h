// Models on the Hugging Face hub and in its cache, which is shared with the Python client:
// models--ORG--NAME/{blobs,refs,snapshots,trees}, locks in .locks/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace zimage::hub {

struct Options {
  std::string endpoint;         // "https://huggingface.co", without a slash at the end
  std::filesystem::path cache;  // HF_HUB_CACHE
  std::string token;            // empty: none
  bool is_offline = false;
  int parallel_files = 4;
  double retry_seconds = 1;   // before the second try; doubles with each further one
  double stall_seconds = 30;  // a transfer that brings nothing for so long is tried again
  std::function<bool()> is_cancelled = {};

  // HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN and its files, HF_HUB_OFFLINE, ...
  static Options from_environment();
};

struct Spec {
  std::string repo;      // "org/name"
  std::string revision;  // branch, tag or commit; empty: main
};

// Shell patterns in which * crosses folders; no patterns: everything.
using Patterns = std::vector<std::string>;
Patterns model_patterns(const std::string& weights_variant);  // normalized variant or empty
Patterns config_patterns();                                   // configurations and tokenizer alone
std::string literal_pattern(const std::string& path);         // that matches this path alone
bool matches(const Patterns& patterns, const std::string& path);

struct File {
  std::string path;        // inside the repository; checked not to leave it
  std::uint64_t size = 0;  // bytes
  std::string blob;        // name in blobs/: sha256 of large files, git's sha1 of small ones
  std::string git_sha1;    // of the file or of its pointer
  bool is_lfs = false;
};

struct Listing {
  std::string commit;  // 40 hexadecimal digits
  std::vector<File> files;
};

// Asks the hub. Throws Error in words for what is refused, absent or unreachable.
Listing list_files(const Spec& spec, const Options& options);

struct CachedSnapshot {
  std::filesystem::path folder;
  std::string commit;
  // By the commit's listing in the cache, every file that matches is there in full, or some lack;
  // where none matches, what was looked for lacks. Without a listing (caches of older clients)
  // neither is known: the caller looks for itself.
  bool is_known_whole = false, is_known_partial = false;
};

// No network. Nothing when the revision is not cached. A revision that was asked for is never
// replaced by another; without one, and without refs/main, the first snapshot by name counts that
// is whole, else the first.
std::optional<CachedSnapshot> find_cached(const Spec& spec, const Patterns& patterns,
                                          const Options& options);

struct Progress {
  int files_done = 0, files = 0;
  std::uint64_t bytes_done = 0, bytes = 0;  // of what was missing at the start
};

std::filesystem::path snapshot_of(const Spec& spec, const std::string& commit,
                                  const Options& options);
bool is_cached(const Spec& spec, const std::string& commit, const File& file,
               const Options& options);
// Whether the file's bytes are in the cache, under whatever commit.
bool has_blob(const Spec& spec, const File& file, const Options& options);

// Fetches what is missing of the files that match and returns the snapshot's folder. Files appear
// by rename once their hash is verified; what was received of others stays for the next try, also
// in another process. on_progress is called by the calling thread. Throws Error, Cancelled.
std::filesystem::path download(const Spec& spec, const Listing& listing, const Patterns& patterns,
                               const Options& options,
                               const std::function<void(const Progress&)>& on_progress);

}  // namespace zimage::hub
