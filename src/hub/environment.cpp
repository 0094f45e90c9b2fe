#include <fnmatch.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "core/check.h"
#include "hub/hub.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_on(const char* name) {
  std::string value = variable(name);
  std::transform(value.begin(), value.end(), value.begin(),
                 [](char c) { return 'a' <= c && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

// Empty when neither HOME (services often have none) nor the system knows it.
fs::path home() {
  if (const auto folder = variable("HOME"); !folder.empty()) return folder;
  const passwd* user = getpwuid(getuid());
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "";
}

fs::path in_home(const std::string& path) {
  const fs::path folder = home();
  return folder.empty() ? folder : folder / path;
}

fs::path expanded(const std::string& text) {
  return text.starts_with("~/") ? in_home(text.substr(2)) : fs::path(text);
}

// Empty without a home.
fs::path home_of_hub() {
  if (const auto folder = variable("HF_HOME"); !folder.empty()) return expanded(folder);
  if (const auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) {
    return expanded(xdg) / "huggingface";
  }
  return in_home(".cache/huggingface");
}

fs::path cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto folder = variable(name); !folder.empty()) return expanded(folder);
  }
  const fs::path folder = home_of_hub();
  check(!folder.empty(),
        "HOME is not set, so that there is no place for the cache of models; "
        "set HF_HUB_CACHE");
  return folder / "hub";
}

std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

std::string find_token() {
  if (is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    std::string value = variable(name);
    value.erase(std::remove_if(value.begin(), value.end(),
                               [](unsigned char c) { return c <= 0x20 || c == 0x7f; }),
                value.end());
    if (!value.empty()) return value;
  }
  std::vector<fs::path> places;
  if (const auto path = variable("HF_TOKEN_PATH"); !path.empty()) places.push_back(expanded(path));
  if (const auto folder = home_of_hub(); !folder.empty()) places.push_back(folder / "token");
  places.push_back(in_home(".huggingface/token"));
  for (const fs::path& place : places) {
    if (std::string word = first_word(place); !word.empty()) return word;
  }
  return "";
}

}  // namespace

Options Options::from_environment() {
  Options options;
  options.endpoint = variable("HF_ENDPOINT");
  if (options.endpoint.empty()) options.endpoint = "https://huggingface.co";
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  check(options.endpoint.starts_with("https://") || options.endpoint.starts_with("http://"),
        "HF_ENDPOINT ", options.endpoint, ": expected an address that starts with https://");
  options.cache = cache_folder();
  options.token = find_token();
  options.is_offline = is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE");
  return options;
}

Patterns model_patterns(const std::string& variant) {
  if (variant.empty()) return {"*.safetensors", "*.json", "tokenizer/*"};
  return {str("*.", variant, ".safetensors"),
          str("*", variant, "*.safetensors"),
          str("*", variant, "*.safetensors.index.json"),
          "*.safetensors.index.json",
          "*.json",
          "tokenizer/*"};
}

Patterns config_patterns() {
  return {"model_index.json", "transformer/config.json",         "text_encoder/config.json",
          "vae/config.json",  "scheduler/scheduler_config.json", "tokenizer/*"};
}

std::string literal_pattern(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

bool matches(const Patterns& patterns, const std::string& path) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
         });
}

}  // namespace zimage::hub
