// Starts the program as its users do: arguments and environment in; exit code, stdout and stderr
// out.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>

#include "testing.h"

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

class ProgramTest : public testing::Test {
 protected:
  // With `folder` as the current one, stdout and stderr in files of dir_, no stdin.
  pid_t start_in(const std::filesystem::path& folder, std::vector<std::string> args,
                 char** environment = environ) const {
    args.insert(args.begin(), ZIMAGE_PROGRAM);
    std::vector<char*> argv = pointers_to(args);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (const auto& [fd, name] : {std::pair{1, "stdout"}, std::pair{2, "stderr"}}) {
      posix_spawn_file_actions_addopen(&actions, fd, (dir_ / name).c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    pid_t pid = -1;
    const int error =
        posix_spawn(&pid, ZIMAGE_PROGRAM, &actions, nullptr, argv.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    check(error == 0, "cannot start " ZIMAGE_PROGRAM);
    return pid;
  }

  Result finish(pid_t pid) const {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_of(dir_ / "stdout"),
            text_of(dir_ / "stderr")};
  }

  // As exec() takes them: ended by a null pointer.
  static std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  TempDir dir_;
};

}  // namespace zimage
