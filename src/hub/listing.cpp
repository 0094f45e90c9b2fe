#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/check.h"
#include "hub/ask.h"
#include "hub/digest.h"
#include "hub/hub.h"
#include "hub/hub_json.h"
#include "io/printable.h"

namespace zimage::hub {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAnswer = std::size_t{64} << 20;  // bytes
constexpr int kMaxPages = 1000;
constexpr std::size_t kMaxFiles = 200000;

// Relative, without "." or "..", control characters or backslashes.
bool stays_inside(const std::string& path) {
  if (path.empty() || path.size() > 1024) return false;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = std::string_view(path).substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    begin = end + 1;
  }
  return std::none_of(path.begin(), path.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || c == '\\';
  });
}

Json parsed(const std::string& text, const Spec& spec, const Options& options) {
  try {
    return parse_json(text);
  } catch (const Json::exception&) {
    throw Error(
        str(spec.repo, ": the answer of ", options.endpoint, " is no JSON; is HF_ENDPOINT a hub?"));
  } catch (const Error& error) {
    throw Error(str(spec.repo, ": the answer of ", options.endpoint, ": ", error.what()));
  }
}

File file_of(const Json& entry, const Spec& spec) {
  File file;
  file.path = entry.at("path").get<std::string>();
  check(stays_inside(file.path), spec.repo, ": the hub lists ", printable(file.path),
        ", which is no path inside the model's folder");
  const std::string where = str(spec.repo, ": the hub's entry of ", printable(file.path));
  file.git_sha1 = entry.at("oid").get<std::string>();
  file.size = size_in(entry.at("size"), where);
  file.blob = file.git_sha1;
  file.is_lfs = entry.contains("lfs") && entry.at("lfs").is_object();
  if (file.is_lfs) {
    file.blob = entry.at("lfs").at("oid").get<std::string>();
    file.size = size_in(entry.at("lfs").at("size"), where);
  }
  check(is_hex(file.blob, file.is_lfs ? 64 : 40) && is_hex(file.git_sha1, 40), spec.repo,
        ": the hub gives ", printable(file.path), " the hash ", printable(file.blob), ", expected ",
        file.is_lfs ? 64 : 40, " hexadecimal digits");
  return file;
}

void add_page(const Json& page, const Spec& spec, std::vector<File>& files) {
  check(page.is_array(), spec.repo, ": the hub's listing is no array");
  for (const Json& entry : page) {
    try {
      if (entry.at("type").get<std::string>() == "file") files.push_back(file_of(entry, spec));
    } catch (const Json::exception&) {
      throw Error(spec.repo + ": an entry of the hub's listing lacks path, oid or size");
    }
  }
  check(files.size() <= kMaxFiles, spec.repo, ": the hub lists more than ", kMaxFiles, " files");
}

// The address of `<...>; rel="next"`, which has to be one of the hub's own.
std::string next_page(const std::string& link, const Spec& spec, const Options& options) {
  const auto rel = link.find("rel=\"next\"");
  if (rel == link.npos) return "";
  const auto end = link.rfind('>', rel), begin = link.rfind('<', rel);
  check(end != link.npos && begin != link.npos && begin < end, spec.repo,
        ": the hub's Link header cannot be read");
  std::string url = link.substr(begin + 1, end - begin - 1);
  if (url.starts_with('/')) url = options.endpoint + url;
  check(url.starts_with(options.endpoint + "/"), spec.repo, ": the listing goes on at ",
        printable(url), ", which is not on ", options.endpoint);
  return url;
}

std::string commit_of(const Spec& spec, const Options& options) {
  const std::string revision = spec.revision.empty() ? "main" : spec.revision;
  HttpResponse response;
  const std::string text = ask_text(
      str(options.endpoint, "/api/models/", spec.repo, "/revision/", percent_encoded(revision)),
      spec, options, response, kMaxAnswer);
  const Json answer = parsed(text, spec, options);
  const auto sha = answer.is_object() ? answer.value("sha", Json()) : Json();
  check(sha.is_string() && is_hex(sha.get<std::string>(), 40), spec.repo,
        ": the hub gives no commit for ", printable(revision));
  const std::string commit = sha.get<std::string>();
  check(!is_hex(revision, 40) || commit == revision, spec.repo, ": the hub answers with commit ",
        commit, ", asked for was ", revision);
  return commit;
}

}  // namespace

Listing list_files(const Spec& spec, const Options& options) {
  check(!options.is_offline, spec.repo, ": not in the cache ", options.cache.string(),
        ", or not all of it, and HF_HUB_OFFLINE is set; unset it to download");
  Listing listing{.commit = commit_of(spec, options), .files = {}};
  std::string url =
      str(options.endpoint, "/api/models/", spec.repo, "/tree/", listing.commit, "?recursive=true");
  for (int page = 0; !url.empty(); ++page) {
    check(page < kMaxPages, spec.repo, ": the hub's listing has more than ", kMaxPages, " pages");
    HttpResponse response;
    const std::string text = ask_text(url, spec, options, response, kMaxAnswer);
    add_page(parsed(text, spec, options), spec, listing.files);
    url = next_page(response.header("link"), spec, options);
  }
  std::set<std::string> names;
  for (const File& file : listing.files) {
    check(names.insert(file.path).second, spec.repo, ": the hub lists ", printable(file.path),
          " twice");
  }
  return listing;
}

}  // namespace zimage::hub
