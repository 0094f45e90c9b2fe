#include "models/model_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/check.h"
#include "io/open_file.h"
#include "io/printable.h"
#include "models/checkpoint_file.h"
#include "models/registry.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFileScheme = "file://";
constexpr std::size_t kLongestPart = 96;  // of a hub id; the hub's own limit

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(std::min(i + 1, text.size()), 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    check(digits.size() == 2 && error == std::errc() && end == digits.data() + 2 && value != 0,
          "model ", printable(kFileScheme), printable(text), ": % at ", i,
          " is not followed by two hexadecimal digits");
    result += static_cast<char>(value);
    i += 2;
  }
  return result;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == text.npos) return "";
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool looks_local(const std::string& text) {
  constexpr std::array<std::string_view, 5> kStarts{"/", "./", "../", "~", kFileScheme};
  return text == "." || text == ".." || is_checkpoint_name(text) ||
         std::any_of(kStarts.begin(), kStarts.end(),
                     [&](std::string_view start) { return text.starts_with(start); });
}

bool is_part(std::string_view part) {
  return !part.empty() && part.size() <= kLongestPart && part.front() != '.' &&
         part.front() != '-' && part.back() != '.' && part.back() != '-' &&
         part.find("..") == part.npos && part.find("--") == part.npos &&
         std::all_of(part.begin(), part.end(), [](char c) {
           return ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

bool is_revision(std::string_view text) {  // a branch, tag or commit
  return !text.empty() && text.size() <= 255 && text.front() != '/' && text.back() != '/' &&
         text.find("..") == text.npos && text.find("//") == text.npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.' || c == '/';
         });
}

std::string aliases() {
  std::string text;
  for (const KnownModel& model : known_models()) text += str(text.empty() ? "" : ", ", model.alias);
  return text;
}

ModelSpec spec_of_path(const fs::path& path) {
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  return {is_folder ? ModelSpec::Kind::kFolder : ModelSpec::Kind::kFile, "", "", "", path};
}

// "name", "name:revision", "name:FILE", "name:revision:FILE"
struct NameParts {
  std::string name, revision, file;
  bool has_colon;

  explicit NameParts(const std::string& text) : has_colon(text.find(':') != text.npos) {
    std::string rest = text;
    if (const auto last = rest.rfind(':'); last != rest.npos && is_checkpoint_name(rest)) {
      file = rest.substr(last + 1);
      rest.resize(last);
    }
    const auto colon = rest.find(':');
    name = trimmed(rest.substr(0, colon));
    if (colon != rest.npos) revision = trimmed(rest.substr(colon + 1));
  }
};

ModelSpec spec_of_id(const std::string& id, const NameParts& parts, const std::string& text) {
  check(parts.revision.empty() || is_revision(parts.revision), "model ", printable(text),
        ": revision ", printable(parts.revision), " is no branch, tag or commit");
  return {ModelSpec::Kind::kHub, id, parts.revision, parts.file, ""};
}

}  // namespace

bool is_hub_id(const std::string& text) {
  constexpr std::array<std::string_view, 10> kFolderWords{
      "models",      "model",  "weights", "data", "datasets",
      "checkpoints", "output", "tmp",     "temp", "cache"};
  const auto slash = text.find('/');
  if (slash == text.npos) return false;
  const std::string_view org = std::string_view(text).substr(0, slash);
  const std::string_view name = std::string_view(text).substr(slash + 1);
  return is_part(org) && is_part(name) && std::count(org.begin(), org.end(), '.') <= 1 &&
         std::find(kFolderWords.begin(), kFolderWords.end(), org) == kFolderWords.end();
}

fs::path expanded_path(const std::string& text) {
  if (text.starts_with(kFileScheme)) {
    std::string_view rest = std::string_view(text).substr(kFileScheme.size());
    constexpr std::string_view kHere = "localhost";
    if (rest.starts_with(kHere)) rest.remove_prefix(kHere.size());
    check(rest.starts_with('/'), "model ", printable(text),
          ": expected file:/// and a path of this machine");
    return percent_decoded(rest);
  }
  if (text == "~" || text.starts_with("~/")) {
    const char* home = std::getenv("HOME");
    check(home != nullptr && *home != '\0', "model ", printable(text), ": HOME is not set");
    return fs::path(home) / text.substr(std::min<std::size_t>(2, text.size()));
  }
  return text;
}

ModelSpec parse_model_spec(const std::string& given) {
  const std::string text = trimmed(given);
  if (text.empty()) return spec_of_id(std::string(known_models().front().id), NameParts(""), text);
  check_path(text);
  const fs::path path = expanded_path(text);
  std::error_code error;
  if (fs::exists(path, error)) return spec_of_path(path);

  const NameParts parts(text);
  const KnownModel* const known = find_known_model(parts.name);
  const bool is_name = !parts.file.empty() && (known != nullptr || is_hub_id(parts.name));
  check(is_name || !looks_local(text), "model ", printable(text), ": no such file or folder");
  check(!parts.has_colon || !parts.revision.empty() || !parts.file.empty(), "model ",
        printable(text), ": expected a revision or a file behind the colon");
  if (known != nullptr) {
    if (!known->id.empty()) return spec_of_id(std::string(known->id), parts, text);
    check(!parts.has_colon, "model ", printable(text), ": ", known->alias,
          " has no revisions and no files to choose from");
    return {ModelSpec::Kind::kDemo, "", "", "", ""};
  }
  check(is_hub_id(parts.name), "model ", printable(text), " is not known: expected ", aliases(),
        ", a hub id such as ", known_models().front().id,
        ", a snapshot folder or a .safetensors or .gguf file");
  return spec_of_id(parts.name, parts, text);
}

std::optional<ModelSpec> parse_hub_spec(const std::string& given) {
  const std::string text = trimmed(given);
  const NameParts parts(text);
  if (!is_hub_id(parts.name) || is_checkpoint_name(parts.name)) return {};
  return spec_of_id(parts.name, parts, text);
}

}  // namespace zimage
