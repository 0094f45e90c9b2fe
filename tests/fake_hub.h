// A model repository behind HubServer: revision, paged tree, and files of which the large ones are
// redirected to a second host, as the hub does it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "hub/digest.h"
#include "hub_server.h"
#include "testing.h"

namespace zimage {

class FakeHub {
 public:
  using Change = std::function<void(const ServerRequest&, ServerAnswer&)>;
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  // Files of `folder`, or those that are added one by one.
  explicit FakeHub(std::string repo) : repo_(std::move(repo)) {}

  void add(const std::string& path, const std::string& content, bool is_lfs = false) {
    files_[path] = {content, is_lfs};
  }
  void add_folder(const std::filesystem::path& folder) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(in), {}};
      add(entry.path().lexically_relative(folder).string(), content,
          entry.path().extension() == ".safetensors");
    }
  }

  std::string url() const { return hub_.url(); }
  const HubServer& hub() const { return hub_; }
  const HubServer& cdn() const { return cdn_; }
  // Changes answers of the hub or of the second host before they are sent.
  void on_hub(Change change) { hub_change_ = std::move(change); }
  void on_cdn(Change change) { cdn_change_ = std::move(change); }

  static std::string hash(const std::string& content, bool is_lfs) {
    hub::Digest digest(is_lfs, content.size());
    digest.update(std::as_bytes(std::span(content.data(), content.size())));
    return digest.hex();
  }

 private:
  struct StoredFile {
    std::string content;
    bool is_lfs;
  };

  static ServerAnswer not_found(const std::string& code) {
    return {.status = 404, .headers = {{"X-Error-Code", code}}, .body = "no"};
  }

  ServerAnswer tree(const std::string& target) const {
    constexpr std::size_t kPage = 3;
    std::size_t begin = 0;
    if (const auto at = target.find("cursor="); at != target.npos)
      begin = std::stoul(target.substr(at + 7));
    nlohmann::json page =
        nlohmann::json::array({{{"type", "directory"}, {"path", "x"}, {"oid", ""}}});
    std::size_t i = 0;
    for (const auto& [path, file] : files_) {
      if (i++ < begin || i > begin + kPage) continue;
      nlohmann::json entry{{"type", "file"},
                           {"path", path},
                           {"size", file.content.size()},
                           {"oid", hash(file.content, false)}};
      if (file.is_lfs) {
        entry["lfs"] = {
            {"oid", hash(file.content, true)}, {"size", file.content.size()}, {"pointerSize", 130}};
      }
      page.push_back(entry);
    }
    ServerAnswer answer{.body = page.dump()};
    if (begin + kPage < files_.size()) {
      answer.headers["Link"] = str("<", url(), "/api/models/", repo_, "/tree/", kCommit,
                                   "?recursive=true&cursor=", begin + kPage, ">; rel=\"next\"");
    }
    return answer;
  }

  static ServerAnswer content(const ServerRequest& request, const StoredFile& file) {
    ServerAnswer answer{.headers = {{"ETag", str('"', hash(file.content, file.is_lfs), '"')}},
                        .body = file.content};
    const std::string range = request.header("range");
    if (!range.starts_with("bytes=")) return answer;
    const std::size_t begin = std::stoul(range.substr(6));
    if (begin >= file.content.size()) return {.status = 416, .body = ""};
    answer.status = 206;
    answer.body = file.content.substr(begin);
    answer.headers["Content-Range"] =
        str("bytes ", begin, "-", file.content.size() - 1, "/", file.content.size());
    return answer;
  }

  ServerAnswer answer_of_hub(const ServerRequest& request) {
    ServerAnswer answer = plain_answer(request);
    if (hub_change_) hub_change_(request, answer);
    return answer;
  }

  ServerAnswer plain_answer(const ServerRequest& request) const {
    const std::string api = "/api/models/" + repo_,
                      files = "/" + repo_ + "/resolve/" + kCommit + "/";
    if (request.target == api + "/revision/main" ||
        request.target == api + "/revision/" + kCommit) {
      return {.body = nlohmann::json{{"id", repo_}, {"sha", kCommit}}.dump()};
    }
    if (request.target.starts_with(api + "/revision/")) return not_found("RevisionNotFound");
    if (request.target.starts_with(api + "/tree/")) return tree(request.target);
    if (!request.target.starts_with(files)) return not_found("RepoNotFound");
    const auto it = files_.find(request.target.substr(files.size()));
    if (it == files_.end()) return not_found("EntryNotFound");
    if (!it->second.is_lfs) return content(request, it->second);
    return {
        .status = 302, .headers = {{"Location", cdn_.url() + "/" + it->first}}, .body = "moved"};
  }

  ServerAnswer answer_of_cdn(const ServerRequest& request) {
    const auto it = files_.find(request.target.substr(1));
    ServerAnswer answer = it == files_.end() ? not_found("") : content(request, it->second);
    if (cdn_change_) cdn_change_(request, answer);
    return answer;
  }

  std::string repo_;
  std::map<std::string, StoredFile> files_;
  Change hub_change_, cdn_change_;
  HubServer cdn_{[this](const ServerRequest& request) { return answer_of_cdn(request); }};
  HubServer hub_{[this](const ServerRequest& request) { return answer_of_hub(request); }};
};

}  // namespace zimage
