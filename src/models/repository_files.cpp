#include "models/repository_files.h"

#include <algorithm>
#include <cstdio>

#include "core/check.h"
#include "io/printable.h"
#include "models/checkpoint_file.h"
#include "models/control_repository.h"
#include "models/listed_names.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSnapshotIndex = "model_index.json";

// "6.54 GB" or "12 MB", in powers of ten.
std::string size_text(std::uint64_t bytes) {
  char text[32];
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1000000000) {
    std::snprintf(text, sizeof text, "%.2f GB", value / 1e9);
  } else if (bytes >= 1000000) {
    std::snprintf(text, sizeof text, "%.0f MB", value / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.0f kB", value / 1e3);
  }
  return text;
}

// By path.
std::vector<hub::File> checkpoints_in(const hub::Listing& listing) {
  std::vector<hub::File> files;
  for (const hub::File& file : listing.files) {
    if (is_checkpoint_name(file.path)) files.push_back(file);
  }
  std::sort(files.begin(), files.end(),
            [](const hub::File& a, const hub::File& b) { return a.path < b.path; });
  return files;
}

std::string with_sizes(const std::vector<hub::File>& files) {
  constexpr std::size_t kShown = 20;  // repositories hold one file of each type
  std::vector<std::string> names;
  for (const hub::File& file : files) {
    names.push_back(str(printable(file.path), " (", size_text(file.size), ")"));
  }
  return listed_names(names, kShown);
}

}  // namespace

std::vector<std::string> names_of(const hub::Listing& listing) {
  std::vector<std::string> names;
  for (const hub::File& file : listing.files) names.push_back(file.path);
  std::sort(names.begin(), names.end());
  return names;
}

hub::Listing listing_of(const fs::path& folder) {
  hub::Listing listing;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const std::uint64_t size = it->file_size(ignored);
    listing.files.push_back({.path = it->path().lexically_relative(folder).string(),
                             .size = ignored ? 0 : size,
                             .blob = {},
                             .git_sha1 = {}});
  }
  return listing;
}

bool lists(const hub::Listing& listing, const std::string& path) {
  return std::any_of(listing.files.begin(), listing.files.end(),
                     [&](const hub::File& file) { return file.path == path; });
}

bool is_of_checkpoint_files(const hub::Listing& listing) {
  return !lists(listing, std::string(kSnapshotIndex)) && !checkpoints_in(listing).empty();
}

bool is_one_network(const hub::Listing& listing) {
  const std::vector<hub::File> files = checkpoints_in(listing);
  const auto is_of_diffusers = [](const hub::File& file) {
    return fs::path(file.path).filename().string().starts_with(kControlWeights);
  };
  if (files.size() == 1) return files.front().path.ends_with(".safetensors");
  return !files.empty() && std::all_of(files.begin(), files.end(), is_of_diffusers);
}

std::string choose_checkpoint(const hub::Listing& listing, const std::string& wanted,
                              const std::string& repo, const std::string& what) {
  const std::vector<hub::File> files = checkpoints_in(listing);
  check(!files.empty(), what, ": ", repo, " holds no .safetensors or .gguf file");
  if (wanted.empty()) {
    check(files.size() == 1, what, ": ", repo, " holds several files, ", with_sizes(files),
          "; name one of them, such as ", repo, ":", printable(files.front().path));
    return files.front().path;
  }
  check(lists(listing, wanted), what, ": ", repo, " holds no such file; it holds ",
        with_sizes(files));
  return wanted;
}

}  // namespace zimage
