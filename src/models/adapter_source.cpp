#include "models/adapter_source.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/check.h"
#include "io/printable.h"
#include "models/hub_models.h"
#include "models/listed_names.h"
#include "models/model_spec.h"
#include "models/repository_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
constexpr std::string_view kConfig = "adapter_config.json";

bool exists(const std::string& text) {
  std::error_code error;
  return fs::exists(expanded_path(text), error);
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_path(const std::string& text) {
  for (const std::string_view start : {"/", "./", "../", "~"}) {
    if (text.starts_with(start)) return true;
  }
  return exists(text);
}

// Of the names in a folder or repository, sorted.
std::string choose(const std::vector<std::string>& names, const AdapterOptions& adapter) {
  std::vector<std::string> files;
  for (const std::string& name : names) {
    if (name.ends_with(kEnding)) files.push_back(name);
  }
  const std::string where = "--lora " + printable(adapter.source);
  check(!files.empty(), where, ": holds no .safetensors file, expected that of an adapter");
  if (adapter.file.empty()) {
    check(files.size() == 1, where, ": holds several files, ", listed_names(files),
          "; --lora-file names the one to use");
    return files.front();
  }
  const bool is_there = std::find(files.begin(), files.end(), adapter.file) != files.end();
  check(is_there, "--lora-file ", printable(adapter.file), ": ", printable(adapter.source),
        " holds ", listed_names(files));
  return adapter.file;
}

std::vector<std::string> names_below(const fs::path& folder) {
  constexpr int kMost = 100000;  // entries: a folder with more was named by mistake
  std::vector<std::string> names;
  std::error_code error;
  const auto skip = fs::directory_options::skip_permission_denied;
  int seen = 0;
  for (fs::recursive_directory_iterator it(folder, skip, error), end; !error && it != end;
       it.increment(error)) {
    check(++seen <= kMost, "--lora ", folder.string(), ": holds more than ", kMost,
          " files and folders; expected the folder of an adapter");
    if (is_file(it->path())) names.push_back(it->path().lexically_relative(folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

hub::Patterns patterns_of(const std::string& file) {
  const fs::path config = fs::path(file).parent_path() / kConfig;
  return {hub::literal_pattern(file), hub::literal_pattern(config.string())};
}

fs::path in_repository(const hub::Spec& spec, const AdapterOptions& adapter,
                       const ModelOptions& options) {
  std::string file = adapter.file;
  const fs::path folder = chosen_files(
      spec, file,
      [&](const hub::Listing& listing) {
        file = choose(names_of(listing), adapter);
        return patterns_of(file);
      },
      options);
  return folder / file;
}

float parse_scale(std::string_view text, const std::string& whole) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  check_usage(is_number && std::isfinite(value), "--lora ", printable(whole),
              ": the scale behind @ is ", printable(text), ", expected a finite number");
  return value;
}

}  // namespace

AdapterOptions parse_adapter(const std::string& text) {
  AdapterOptions adapter{.source = text};
  const auto is_blank = [](const std::string& s) {
    return s.find_first_not_of(" \t\r\n") == s.npos;
  };
  check_usage(!is_blank(text),
              "--lora: no text; expected a .safetensors file, a folder or a hub id");
  if (exists(text)) return adapter;
  // One in the name of a folder is none.
  if (const auto at = text.rfind('@'); at != text.npos && text.find('/', at) == text.npos) {
    adapter.scale = parse_scale(std::string_view(text).substr(at + 1), text);
    adapter.source.resize(at);
  }
  if (exists(adapter.source)) return adapter;
  const auto colon = adapter.source.rfind(':');
  if (colon != text.npos && adapter.source.ends_with(kEnding)) {
    adapter.file = adapter.source.substr(colon + 1);
    adapter.source.resize(colon);
  }
  check_usage(
      !is_blank(adapter.source), "--lora ", printable(text),
      ": expected a .safetensors file, a folder or a hub id in front of the file and scale");
  return adapter;
}

fs::path find_adapter(const AdapterOptions& adapter, const ModelOptions& options) {
  const std::string& text = adapter.source;
  if (is_path(text)) {
    const fs::path path = expanded_path(text);
    std::error_code error;
    check(fs::exists(path, error), "--lora ", printable(text), ": no such file or folder");
    if (fs::is_directory(path, error)) return path / choose(names_below(path), adapter);
    check_usage(adapter.file.empty(), "--lora-file ", printable(adapter.file), ": --lora ",
                printable(text), " is a file already; expected one of them");
    return path;
  }
  const auto colon = text.find(':');
  const std::string id = text.substr(0, colon);
  check(is_hub_id(id) && !text.ends_with(kEnding), "--lora ", printable(text),
        ": no such file or folder, and no hub id (org/name)");
  return in_repository({id, colon == text.npos ? "" : text.substr(colon + 1)}, adapter, options);
}

}  // namespace zimage
