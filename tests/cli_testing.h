// Runs the program as its users do, in a folder of its own that holds the test snapshot as `model`.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>

#include "testing.h"
#include "zimage/image.h"

extern char** environ;

namespace zimage {

struct Result {
  int code = -1;
  std::string out, err;
};

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class CliTest : public testing::Test {
 protected:
  // Starts the program in dir_ with stdout and stderr in files.
  pid_t start(std::vector<std::string> args) {
    args.insert(args.begin(), ZIMAGE_PROGRAM);
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, (dir_ / "stdout").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, (dir_ / "stderr").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, work_.c_str());
    pid_t pid = -1;
    const int error = posix_spawn(&pid, ZIMAGE_PROGRAM, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw Error("cannot start " ZIMAGE_PROGRAM);
    return pid;
  }

  Result finish(pid_t pid) const {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_of(dir_ / "stdout"),
            text_of(dir_ / "stderr")};
  }

  Result run(const std::vector<std::string>& args) { return finish(start(args)); }

  // `generate` of a small picture with more arguments.
  Result draw(std::vector<std::string> more, const std::string& model = "model") {
    std::vector<std::string> args{"generate", "-m", model, "-W", "64", "-H", "64"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }

  // Fails with this code, one line of error, nothing on stdout and no new file.
  void expect_error(const Result& result, int code, const std::string& message) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_THAT(result.err, testing::StartsWith("error: "));
    EXPECT_THAT(result.err, testing::HasSubstr(message));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(files(), std::vector<std::string>{"model"});
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(work_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  void SetUp() override {
    std::filesystem::create_directory(work_);
    std::filesystem::create_directory_symlink(test_data("pipeline/snapshot"), work_ / "model");
  }

  TempDir dir_;
  std::filesystem::path work_ = dir_ / "work";
};

}  // namespace zimage
