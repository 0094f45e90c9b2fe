// Starts the program with a hub of its own and an empty cache.
#pragma once

#include "fake_hub.h"
#include "program_testing.h"

namespace zimage {

class HubProgramTest : public ProgramTest {
 protected:
  explicit HubProgramTest(const std::string& repo) : hub_(repo) {
    std::string folder = repo;
    folder.replace(folder.find('/'), 1, "--");
    repo_folder_ = dir_ / "hub" / ("models--" + folder);
  }

  pid_t start(const std::vector<std::string>& args) const {
    std::vector<std::string> variables{"HF_ENDPOINT=" + hub_.url(),
                                       "HF_HUB_CACHE=" + (dir_ / "hub").string(), "HF_TOKEN=t",
                                       "OMP_WAIT_POLICY=passive"};
    if (is_offline_) variables.emplace_back("HF_HUB_OFFLINE=1");
    return start_in(dir_.path(), args, pointers_to(variables).data());
  }
  Result run(const std::vector<std::string>& args) const { return finish(start(args)); }

  // A file of the repository in the cache, whether it is there or not.
  std::filesystem::path cached(const std::string& file) const {
    return repo_folder_ / "snapshots" / FakeHub::kCommit / file;
  }
  std::size_t requests() const {
    return hub_.hub().requests().size() + hub_.cdn().requests().size();
  }

  bool is_offline_ = false;
  FakeHub hub_;
  std::filesystem::path repo_folder_;
};

}  // namespace zimage
