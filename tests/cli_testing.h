// Runs the program as its users do, in a folder of its own that holds the test snapshot as `model`.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>

#include "program_testing.h"
#include "zimage/image.h"

namespace zimage {

class CliTest : public ProgramTest {
 protected:
  pid_t start(const std::vector<std::string>& args) const { return start_in(work_, args); }
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

  std::filesystem::path work_ = dir_ / "work";
};

}  // namespace zimage
