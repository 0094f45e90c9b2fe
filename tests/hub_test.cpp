#include "hub/hub.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <fstream>

#include "fake_hub.h"
#include "testing.h"
#include "zimage/log.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string noise(std::size_t bytes) {
  std::mt19937 engine(7);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(engine());
  return text;
}

class HubTest : public testing::Test {
 protected:
  HubTest() {
    set_log_sink([](LogLevel, std::string_view) {});
    hub_.add("model_index.json", "{}");
    hub_.add("README.md", "words");
    hub_.add("tokenizer/merges.txt", "a b");
    hub_.add("transformer/config.json", "{\"dim\": 1}");
    hub_.add("transformer/model.safetensors", big_, true);
    hub_.add("vae/model.fp16.safetensors", "half", true);
  }
  ~HubTest() override { set_log_sink({}); }

  hub::Options options() const {
    return {.endpoint = hub_.url(),
            .cache = dir_ / "hub",
            .token = "secret",
            .retry_seconds = 0.01,
            .stall_seconds = 1};
  }
  fs::path download(const hub::Patterns& patterns = {}, const std::string& revision = "") {
    const hub::Spec spec{"org/name", revision};
    return hub::download(spec, hub::list_files(spec, options()), patterns, options(),
                         [&](const hub::Progress& p) { last_ = p; });
  }
  std::string error(const hub::Patterns& patterns = {}, const std::string& revision = "") {
    return error_of([&] { return download(patterns, revision); });
  }
  std::optional<hub::CachedSnapshot> cached(const hub::Patterns& patterns = {},
                                            const std::string& revision = "") const {
    return hub::find_cached({"org/name", revision}, patterns, options());
  }
  fs::path repo() const { return dir_ / "hub/models--org--name"; }
  std::string blob() const { return FakeHub::hash(big_, true); }

  TempDir dir_;
  std::string big_ = noise(300000);
  FakeHub hub_{"org/name"};
  hub::Progress last_;
};

TEST_F(HubTest, LaysTheCacheOutAsThePythonClientDoes) {
  const fs::path folder = download();
  EXPECT_EQ(folder, repo() / "snapshots" / FakeHub::kCommit);
  EXPECT_EQ(text_of(folder / "transformer/model.safetensors"), big_);
  EXPECT_EQ(fs::read_symlink(folder / "transformer/model.safetensors"), "../../../blobs/" + blob());
  EXPECT_EQ(fs::read_symlink(folder / "model_index.json"),
            "../../blobs/" + FakeHub::hash("{}", false));
  EXPECT_EQ(text_of(repo() / "refs/main"), FakeHub::kCommit);
  EXPECT_TRUE(fs::exists(dir_ / "hub/CACHEDIR.TAG"));
  EXPECT_TRUE(fs::exists(dir_ / "hub/.locks/models--org--name" / (blob() + ".lock")));
  EXPECT_EQ(last_.files_done, 6);
  EXPECT_EQ(last_.bytes_done, last_.bytes);
  const auto tree =
      nlohmann::json::parse(text_of(repo() / "trees" / (std::string(FakeHub::kCommit) + ".json")));
  EXPECT_EQ(tree["files"]["transformer/model.safetensors"]["lfs_sha256"], blob());
}

TEST_F(HubTest, SendsTheTokenToTheHubAndToNoOtherHost) {
  download();
  for (const auto& request : hub_.hub().requests()) {
    EXPECT_EQ(request.header("authorization"), "Bearer secret");
  }
  ASSERT_FALSE(hub_.cdn().requests().empty());
  for (const auto& request : hub_.cdn().requests()) EXPECT_EQ(request.header("authorization"), "");
}

TEST_F(HubTest, FetchesWhatMatchesAndKnowsWhatIsWhole) {
  EXPECT_FALSE(cached().has_value());
  const hub::Patterns plain = hub::config_patterns();
  download(plain);
  ASSERT_TRUE(cached(plain).has_value());
  EXPECT_TRUE(cached(plain)->is_known_whole);
  EXPECT_TRUE(cached()->is_known_partial);
  EXPECT_FALSE(cached(plain, "v2").has_value());
  EXPECT_TRUE(cached(plain, FakeHub::kCommit).has_value());
  EXPECT_THAT(error({"*.nothing"}), HasSubstr("holds no file that matches *.nothing"));
  const std::size_t before = hub_.cdn().requests().size();
  download();
  EXPECT_EQ(hub_.cdn().requests().size(), before + 2);
  download();
  EXPECT_EQ(hub_.cdn().requests().size(), before + 2);  // all is there
}

TEST_F(HubTest, VariantPatternsAreThoseOfTheReference) {
  const auto fp16 = hub::model_patterns("fp16"), plain = hub::model_patterns("");
  EXPECT_TRUE(hub::matches(fp16, "vae/model.fp16.safetensors"));
  EXPECT_TRUE(hub::matches(fp16, "vae/model.fp16-00001-of-00002.safetensors"));
  EXPECT_FALSE(hub::matches(fp16, "vae/model.safetensors"));
  EXPECT_TRUE(hub::matches(fp16, "vae/config.json"));
  EXPECT_TRUE(hub::matches(plain, "tokenizer/merges.txt"));
  const hub::Patterns literal{hub::literal_pattern("a[1]*?\\.safetensors")};
  EXPECT_TRUE(hub::matches(literal, "a[1]*?\\.safetensors"));
  EXPECT_FALSE(hub::matches(literal, "a1xy.safetensors"));
  EXPECT_FALSE(hub::matches(plain, "assets/picture.png"));
}

TEST_F(HubTest, GoesOnWhereALineBroke) {
  int cuts = 0;
  hub_.on_cdn([&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target == "/transformer/model.safetensors" && cuts++ < 3) answer.cut_after = 70000;
  });
  EXPECT_EQ(text_of(download() / "transformer/model.safetensors"), big_);
  std::vector<std::string> ranges;
  for (const auto& request : hub_.cdn().requests()) {
    if (request.target != "/transformer/model.safetensors") continue;
    ranges.push_back(request.header("range"));
    if (!ranges.back().empty()) {
      EXPECT_EQ(request.header("if-range"), str('"', blob(), '"'));
    }
  }
  EXPECT_THAT(ranges, testing::ElementsAre("", "bytes=70000-", "bytes=140000-", "bytes=210000-"));
}

TEST_F(HubTest, StartsOverWhenTheServerIgnoresTheRange) {
  int calls = 0;
  hub_.on_cdn([&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target != "/transformer/model.safetensors") return;
    if (calls++ == 0) {
      answer.cut_after = 5000;
    } else {
      answer = {.body = big_};
    }
  });
  EXPECT_EQ(text_of(download() / "transformer/model.safetensors"), big_);
}

TEST_F(HubTest, RefusesWrongBytesOfTheRightSize) {
  hub_.on_cdn([&](const ServerRequest&, ServerAnswer& answer) { answer.body[0] ^= 1; });
  EXPECT_THAT(error(), HasSubstr("does not have the hash of its listing"));
  EXPECT_FALSE(fs::exists(repo() / "blobs" / blob()));
  EXPECT_TRUE(cached()->is_known_partial);
  hub_.on_cdn({});
  EXPECT_EQ(text_of(download() / "transformer/model.safetensors"), big_);
}

TEST_F(HubTest, GivesUpWhenFewerBytesThanListedAreThere) {
  hub_.on_cdn([&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target != "/transformer/model.safetensors") return;
    answer = {.body = big_.substr(0, 1000)};
    if (!request.header("range").empty()) answer = {.status = 416, .body = ""};
  });
  EXPECT_THAT(error(), HasSubstr("org/name/transformer/model.safetensors"));
  EXPECT_LT(hub_.cdn().requests().size(), 20u);
}

TEST_F(HubTest, RefusesEncodedBytes) {
  hub_.on_cdn([](const ServerRequest&, ServerAnswer& answer) {
    answer.headers["Content-Encoding"] = "gzip";
  });
  EXPECT_THAT(error(), HasSubstr("encoded as gzip"));
}

TEST_F(HubTest, RefusesAnotherCommitThanTheOneAskedFor) {
  hub_.on_hub([](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.find("/revision/") == std::string::npos) return;
    answer = {.body = nlohmann::json{{"sha", std::string(40, 'b')}}.dump()};
  });
  EXPECT_THAT(error({}, FakeHub::kCommit), HasSubstr("asked for was"));
}

TEST_F(HubTest, FetchesNoBytesThatAnotherCommitBrought) {
  download();
  fs::remove_all(repo() / "snapshots");
  const std::size_t before = hub_.cdn().requests().size();
  EXPECT_EQ(text_of(download() / "transformer/model.safetensors"), big_);
  EXPECT_EQ(hub_.cdn().requests().size(), before);
}

TEST_F(HubTest, StopsItsWorkersWhenTheProgressCannotBeShown) {
  hub_.on_cdn([](const ServerRequest&, ServerAnswer& answer) { answer.pause_ms = 50; });
  const hub::Spec spec{"org/name", ""};
  EXPECT_THROW(hub::download(spec, hub::list_files(spec, options()), {}, options(),
                             [](const hub::Progress&) { throw Cancelled("stop"); }),
               Cancelled);
  EXPECT_FALSE(fs::exists(repo() / "blobs" / blob()));
}

TEST_F(HubTest, RefusesMoreBytesThanListed) {
  hub_.on_cdn([&](const ServerRequest&, ServerAnswer& answer) { answer.body += "more"; });
  EXPECT_THAT(error(), HasSubstr("sends more than the"));
}

TEST_F(HubTest, TriesAgainAfterStormsAndHonoursRetryAfter) {
  std::atomic<int> calls = 0;
  hub_.on_hub([&](const ServerRequest&, ServerAnswer& answer) {
    if (calls++ % 3 == 0) answer = {.status = 503, .headers = {{"Retry-After", "0"}}, .body = ""};
    if (calls % 5 == 1)
      answer = {.status = 429, .headers = {{"RateLimit", "\"api\";r=0;t=0"}}, .body = ""};
  });
  EXPECT_EQ(text_of(download() / "model_index.json"), "{}");
  hub_.on_hub(
      [](const ServerRequest&, ServerAnswer& answer) { answer = {.status = 500, .body = ""}; });
  EXPECT_THAT(error(), HasSubstr("HTTP 500"));
}

TEST_F(HubTest, GivesUpOnAStalledServer) {
  hub_.on_hub([](const ServerRequest&, ServerAnswer& answer) { answer.pause_ms = 4000; });
  hub::Options impatient = options();
  impatient.is_cancelled = [start = std::chrono::steady_clock::now()] {
    return std::chrono::steady_clock::now() - start > std::chrono::seconds(1);
  };
  EXPECT_THROW(hub::list_files({"org/name", ""}, impatient), Cancelled);
}

TEST_F(HubTest, SaysInWordsWhatIsRefused) {
  const auto answering = [&](int status, const std::string& code) {
    hub_.on_hub([=](const ServerRequest&, ServerAnswer& answer) {
      answer = {.status = status, .headers = {{"X-Error-Code", code}}, .body = ""};
    });
    return error();
  };
  EXPECT_THAT(answering(401, "RepoNotFound"), HasSubstr("the token in use (HF_TOKEN"));
  EXPECT_THAT(answering(401, "RepoNotFound"), HasSubstr("local snapshot"));
  EXPECT_THAT(answering(403, "GatedRepo"), HasSubstr("accept the terms at"));
  EXPECT_THAT(answering(404, ""), HasSubstr("not found"));
  EXPECT_THAT(answering(418, ""), HasSubstr("HTTP 418"));
  hub_.on_hub({});
  EXPECT_THAT(error({}, "v9"), HasSubstr("org/name has no revision v9"));
  hub::Options offline = options();
  offline.is_offline = true;
  EXPECT_THAT(error_of([&] {
                return hub::list_files({"org/name", ""}, offline);
              }),
              HasSubstr("HF_HUB_OFFLINE is set"));
}

TEST_F(HubTest, RefusesPathsThatLeaveTheFolder) {
  for (const std::string path :
       {"../../.ssh/x", "/etc/passwd", "a/../b", "a//b", "a\\b", "a\nb", "."}) {
    FakeHub bad("org/name");
    bad.add(path, "x");
    hub::Options options = this->options();
    options.endpoint = bad.url();
    EXPECT_THAT(error_of([&] {
                  return hub::list_files({"org/name", ""}, options);
                }),
                HasSubstr("no path inside the model's folder"))
        << path;
  }
}

TEST_F(HubTest, RefusesListingsThatMakeNoSense) {
  const auto with_tree = [&](const std::string& body) {
    hub_.on_hub([=](const ServerRequest& request, ServerAnswer& answer) {
      if (request.target.find("/tree/") != std::string::npos) answer = {.body = body};
    });
    return error();
  };
  EXPECT_THAT(with_tree("<html>"), HasSubstr("is no JSON"));
  EXPECT_THAT(with_tree("{}"), HasSubstr("no array"));
  EXPECT_THAT(with_tree("[{}]"), HasSubstr("lacks path, oid or size"));
  EXPECT_THAT(with_tree(R"([{"type":"file","path":"a","size":-1,"oid":"x"}])"),
              HasSubstr("org/name: the hub's entry of a: the size is -1"));
  EXPECT_THAT(with_tree(R"([{"type":"file","path":"a","size":1e30,"oid":"x"}])"),
              HasSubstr("expected a number of bytes"));
  EXPECT_THAT(with_tree(R"([{"type":"file","path":"a","size":1,"oid":"../../x"}])"),
              HasSubstr("hexadecimal digits"));
  EXPECT_THAT(with_tree(std::string(100000, '[')), HasSubstr("nested"));
}

TEST_F(HubTest, RefusesEndlessAndForeignRedirects) {
  const auto to = [&](const std::string& location) {
    hub_.on_hub([=](const ServerRequest&, ServerAnswer& answer) {
      answer = {.status = 302, .headers = {{"Location", location}}, .body = ""};
    });
    return error();
  };
  EXPECT_THAT(to("/again"), HasSubstr("redirects"));
  EXPECT_THAT(to("file:///etc/passwd"), HasSubstr("redirects from http to file"));
  EXPECT_NE(to("::::"), "");
  hub_.on_hub([](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.find("/tree/") == std::string::npos) return;
    answer.headers["Link"] = "<http://127.0.0.1:1/x>; rel=\"next\"";
  });
  EXPECT_THAT(error(), HasSubstr("which is not on"));
}

TEST_F(HubTest, ChecksTheFreeSpaceFirst) {
  hub::Listing listing{.commit = FakeHub::kCommit, .files = {}};
  listing.files.push_back({.path = "a.safetensors",
                           .size = std::uint64_t{1} << 60,
                           .blob = std::string(64, 'a'),
                           .git_sha1 = std::string(40, 'a'),
                           .is_lfs = true});
  EXPECT_THAT(error_of([&] {
                return hub::download({"org/name", ""}, listing, {}, options(), {});
              }),
              HasSubstr("HF_HUB_CACHE"));
}

TEST_F(HubTest, WaitsForTheLockOfAnotherProgram) {
  const fs::path lock = dir_ / "hub/.locks/models--org--name" / (blob() + ".lock");
  fs::create_directories(lock.parent_path());
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT, 0664);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    fs::create_directories(repo() / "blobs");
    std::ofstream(repo() / "blobs" / blob(), std::ios::binary) << big_;
    close(fd);
  });
  EXPECT_EQ(text_of(download() / "transformer/model.safetensors"), big_);
  other.join();
  for (const auto& request : hub_.cdn().requests()) {
    EXPECT_NE(request.target, "/transformer/model.safetensors");  // the other one's work was taken
  }
}

TEST_F(HubTest, LeavesTreesItCannotReadAlone) {
  const fs::path folder = download();
  std::ofstream(repo() / "trees" / (std::string(FakeHub::kCommit) + ".json")) << "{";
  ASSERT_TRUE(cached().has_value());
  EXPECT_FALSE(cached()->is_known_whole);
}

}  // namespace
}  // namespace zimage
