#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "zimage/pipeline.h"

namespace zimage::cli {

// Shows stages and steps on stderr: a bar with time per step and ETA on a terminal, which is wiped
// when other lines are to appear, and one plain line a step elsewhere. Any thread may call it.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(bool is_enabled);
  ~ProgressDisplay() { clear(); }
  void show(const Progress& progress);
  void show(const DownloadProgress& progress);
  void show(const char* what, int done, int all);  // a line for every tenth off a terminal
  void print(const std::string& line);             // above the bar
  void note(const std::string& line) {             // what --no-progress hides
    if (is_enabled_) print(line);
  }
  void clear();
  bool is_enabled() const { return is_enabled_; }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_per_step(int step) const;
  void draw_bar(const Progress& progress);
  void wipe_bar();

  std::mutex mutex_;  // of all below
  bool is_enabled_, is_terminal_, has_bar_ = false;
  Clock::time_point download_start_{}, download_shown_{};
  std::uint64_t download_before_ = 0;  // bytes that an earlier try left
  Clock::time_point stage_start_ = Clock::now(), step_start_ = Clock::now();
};

}  // namespace zimage::cli
