#include "models/weight_files.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "core/check.h"
#include "io/json.h"
#include "io/printable.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
constexpr std::string_view kIndexEnding = ".safetensors.index.json";

bool is_alphanumeric(char c) {
  return ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z');
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if ('A' <= c && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// "x-00001-of-00003.fp16" -> number 1 of 3, group "x.fp16".
struct ShardName {
  std::string group;
  int number = 0, count = 0;  // 0: no shard number
};

std::optional<int> number_in(std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) return {};
  return value;
}

ShardName shard_name(const std::string& file) {
  const std::string stem = file.substr(0, file.size() - kEnding.size());
  constexpr std::size_t kDigits = 5, kLength = 2 * kDigits + 5;  // -NNNNN-of-NNNNN
  for (std::size_t at = 0; at + kLength <= stem.size(); ++at) {
    if (stem[at] != '-' || stem.compare(at + 1 + kDigits, 4, "-of-") != 0) continue;
    const auto number = number_in(std::string_view(stem).substr(at + 1, kDigits));
    const auto count = number_in(std::string_view(stem).substr(at + kLength - kDigits, kDigits));
    if (number && count && *number > 0)
      return {stem.substr(0, at) + stem.substr(at + kLength), *number, *count};
  }
  return {stem};
}

using Group = std::map<int, std::string>;  // shard number -> file name
using Groups = std::map<std::string, Group>;

Groups groups_of(const std::set<std::string>& files, const std::string& variant) {
  Groups groups;
  for (const std::string& file : files) {
    if (!variant.empty() && !matches_variant(file, variant)) continue;
    const ShardName name = shard_name(file);
    groups[name.group][name.number] = file;
  }
  return groups;
}

// A set beside a whole file of the same name: the whole file stands for itself.
void drop_whole_file_beside_shards(Group& group) {
  if (group.size() > 1) group.erase(0);
}

void check_complete(const fs::path& folder, const Group& group) {
  const int count = shard_name(group.begin()->second).count;
  for (const auto& [number, file] : group) {
    check(shard_name(file).count == count && number <= count, folder.string(), ": ",
          printable(group.begin()->second), " and ", printable(file),
          " are shards of different sets; remove those of one");
  }
  check(count == 0 || static_cast<int>(group.size()) == count, folder.string(), ": ",
        printable(group.begin()->second), " is one of ", count, " shards, but ", group.size(),
        group.size() == 1 ? " is" : " are", " there; download the others");
}

struct Choice {
  std::vector<std::string> files;
  std::string note;
};

Choice choose(const fs::path& folder, const std::set<std::string>& files, const std::string& base,
              const std::string& variant) {
  Groups groups = groups_of(files, variant);
  if (groups.empty()) return {};
  auto chosen = groups.begin();
  if (const auto plain = groups.find(base); variant.empty() && plain != groups.end()) {
    chosen = plain;
  }
  Choice choice;
  if (groups.size() > 1) {
    std::string names;
    for (const auto& [name, group] : groups) names += (names.empty() ? "" : ", ") + printable(name);
    choice.note = str(folder.string(), " holds several sets of weights (", names, "); using ",
                      printable(chosen->first));
  }
  drop_whole_file_beside_shards(chosen->second);
  check_complete(folder, chosen->second);
  for (const auto& [number, file] : chosen->second) choice.files.push_back(file);
  return choice;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.insert(it->path().filename().string());
  }
  return names;
}

bool is_index(std::string_view name) {  // diffusers writes the variant before or after "index"
  return name.ends_with(".json") && name.find(".safetensors.index.") != name.npos;
}

std::vector<std::string> index_candidates(const std::set<std::string>& names,
                                          const std::string& base, const std::string& variant) {
  std::vector<std::string> candidates;
  const auto add = [&](const std::string& name) {
    const bool is_new = std::find(candidates.begin(), candidates.end(), name) == candidates.end();
    if (names.contains(name) && is_new) candidates.push_back(name);
  };
  const std::string plain = base + std::string(kIndexEnding);
  if (!variant.empty()) {
    add(str(base, ".", variant, kIndexEnding));
    add(str(base, ".safetensors.index.", variant, ".json"));
  }
  if (variant.empty()) add(plain);
  for (const std::string& name : names) {
    const bool is_wanted = variant.empty() ? candidates.empty() : matches_variant(name, variant);
    if (is_index(name) && is_wanted) add(name);
  }
  add(plain);
  return candidates;
}

// A shard's name as an index gives it; it may repeat the component's folder, and names only files
// in it.
std::string shard_in(const fs::path& folder, const fs::path& index, const std::string& shard) {
  const std::string prefix = folder.filename().string() + "/";
  const std::string name = shard.starts_with(prefix) ? shard.substr(prefix.size()) : shard;
  const bool is_plain = name != "." && name != ".." && name.find('/') == name.npos &&
                        name.find('\0') == name.npos && name.size() > kEnding.size() &&
                        name.ends_with(kEnding);
  check(is_plain, index.string(), ": shard ", printable(shard),
        " is not a .safetensors file name of this folder");
  return name;
}

std::set<std::string> shards_in(const fs::path& folder, const fs::path& index) {
  const Json weight_map = Json::parse_file(index).object("weight_map");
  std::set<std::string> shards;
  for (const std::string& tensor : weight_map.keys()) {
    shards.insert(weight_map.get<std::string>(tensor));
  }
  check(!shards.empty(), index.string(), ": weight_map is empty");
  std::set<std::string> names;
  for (const std::string& shard : shards) names.insert(shard_in(folder, index, shard));
  return names;
}

// The set an index leads to; empty when it names nothing of the variant or no file that exists.
Choice choose_by_index(const fs::path& folder, const std::string& index, const std::string& base,
                       const std::string& variant, const std::set<std::string>& names) {
  const std::string filter = matches_variant(index, variant) ? "" : variant;
  const fs::path path = folder / index;
  Choice choice = choose(folder, shards_in(folder, path), base, filter);
  std::string missing;
  std::size_t found = 0;
  for (const std::string& file : choice.files) {
    if (names.contains(file)) {
      ++found;
    } else if (missing.empty()) {
      missing = file;
    }
  }
  if (found == 0) return {};
  check(missing.empty(), path.string(), " names ", printable(missing),
        ", which is missing; download it again");
  return choice;
}

bool belongs_to(const std::string& file, const std::string& base) {
  return file.starts_with(base) && !is_alphanumeric(file[base.size()]);
}

Choice choose_by_scan(const fs::path& folder, const std::string& base, const std::string& variant,
                      const std::set<std::string>& names) {
  std::set<std::string> all, ours;
  for (const std::string& name : names) {
    if (name.size() <= kEnding.size() || !name.ends_with(kEnding)) continue;
    all.insert(name);
    if (belongs_to(name, base)) ours.insert(name);
  }
  return choose(folder, ours.empty() ? all : ours, base, variant);
}

}  // namespace

std::string normalized_variant(std::string_view variant) {
  const auto first = variant.find_first_not_of(" \t\r\n");
  if (first == variant.npos) return "";
  const std::string name =
      lower(variant.substr(first, variant.find_last_not_of(" \t\r\n") - first + 1));
  check(std::all_of(name.begin(), name.end(),
                    [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; }),
        "--weights-variant ", printable(name), ": expected letters, digits, '_', '.' and '-'");
  return name;
}

bool matches_variant(std::string_view file_name, std::string_view variant) {
  if (variant.empty()) return false;
  const std::string name = lower(file_name);
  for (std::size_t at = name.find(variant); at != name.npos; at = name.find(variant, at + 1)) {
    const std::size_t end = at + variant.size();
    const bool starts = at == 0 || !is_alphanumeric(name[at - 1]);
    if (starts && (end == name.size() || !is_alphanumeric(name[end]))) return true;
  }
  return false;
}

WeightFiles find_weight_files(const fs::path& folder, const std::string& base,
                              const std::string& variant) {
  const std::set<std::string> names = names_in(folder);
  Choice choice;
  for (const std::string& index : index_candidates(names, base, variant)) {
    choice = choose_by_index(folder, index, base, variant, names);
    if (!choice.files.empty()) break;
  }
  if (choice.files.empty()) choice = choose_by_scan(folder, base, variant, names);
  WeightFiles result{{}, std::move(choice.note)};
  for (const std::string& file : choice.files) result.files.push_back(folder / file);
  return result;
}

}  // namespace zimage
