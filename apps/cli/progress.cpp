#include "progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "parse.h"

namespace zimage::cli {
namespace {

constexpr int kBarCells = 28;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string clock_text(double seconds) {
  const long s = std::lround(seconds);
  char text[32];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  }
  return text;
}

std::string image_text(const Progress& p) {
  if (p.images == 1) return "";
  return "image " + std::to_string(p.image + 1) + "/" + std::to_string(p.images) + "  ";
}

const char* stage_text(Stage stage) {
  switch (stage) {
    case Stage::kEncodingPrompt: return "encoding the prompt";
    case Stage::kEncodingImage: return "encoding the picture";
    case Stage::kDenoising: return "denoising";
    case Stage::kDecoding: return "decoding";
  }
  return "";
}

}  // namespace

ProgressDisplay::ProgressDisplay(bool is_enabled)
    : is_enabled_(is_enabled), is_terminal_(isatty(STDERR_FILENO) != 0) {}

double ProgressDisplay::seconds_per_step(int step) const {
  return seconds_since(stage_start_) / step;
}

void ProgressDisplay::draw_bar(const Progress& p) {
  const int filled = kBarCells * p.step / p.steps;
  std::string bar(static_cast<std::size_t>(filled), '=');
  if (filled < kBarCells) bar += '>';
  bar.resize(kBarCells, '-');
  std::string timing = "estimating";
  if (p.step > 0) {
    char per_step[32];
    std::snprintf(per_step, sizeof per_step, "%.2f s/step", seconds_per_step(p.step));
    timing = std::string(per_step) + "  ETA " +
             clock_text(seconds_per_step(p.step) * (p.steps - p.step));
  }
  std::fprintf(stderr, "\r\033[K%s[%s] %d/%d  %s", image_text(p).c_str(), bar.c_str(), p.step,
               p.steps, timing.c_str());
  std::fflush(stderr);
  has_bar_ = true;
}

void ProgressDisplay::show(const char* what, int done, int all) {
  if (!is_enabled_) return;
  const std::lock_guard lock(mutex_);
  if (is_terminal_) {
    std::fprintf(stderr, "\r\033[K%s  %d/%d", what, done, all);
    std::fflush(stderr);
    has_bar_ = true;
  } else if (done == all || done * 10 / all > (done - 1) * 10 / all) {
    std::fprintf(stderr, "%s %d/%d\n", what, done, all);
  }
}

void ProgressDisplay::show(const Progress& p) {
  if (!is_enabled_) return;
  const std::lock_guard lock(mutex_);
  const bool is_new_stage = p.stage != Stage::kDenoising || p.step == 0;
  if (is_new_stage) stage_start_ = Clock::now();
  if (p.stage == Stage::kDenoising && is_terminal_) {
    draw_bar(p);
  } else if (is_terminal_) {
    std::fprintf(stderr, "\r\033[K%s%s", image_text(p).c_str(), stage_text(p.stage));
    std::fflush(stderr);
    has_bar_ = true;
  } else if (p.stage == Stage::kDenoising && p.step > 0) {
    std::fprintf(stderr, "%sstep %d/%d  %.2f s\n", image_text(p).c_str(), p.step, p.steps,
                 seconds_since(step_start_));
  } else if (p.stage != Stage::kDenoising) {
    std::fprintf(stderr, "%s%s\n", image_text(p).c_str(), stage_text(p.stage));
  }
  step_start_ = Clock::now();
}

void ProgressDisplay::show(const DownloadProgress& p) {
  if (!is_enabled_) return;
  const std::lock_guard lock(mutex_);
  if (download_start_ == Clock::time_point{}) {
    download_start_ = Clock::now();
    download_before_ = p.bytes_done;
  }
  const bool is_end = p.files_done == p.files;
  constexpr double kTerminalPause = 0.1, kLinePause = 5;  // seconds
  if (!is_end && seconds_since(download_shown_) < (is_terminal_ ? kTerminalPause : kLinePause)) {
    return;
  }
  download_shown_ = Clock::now();
  const double seconds = std::max(0.001, seconds_since(download_start_));
  const auto done = static_cast<double>(p.bytes_done), all = static_cast<double>(p.bytes);
  const double rate = (done - static_cast<double>(download_before_)) / seconds;
  const std::string eta = rate > 0 ? clock_text((all - done) / rate) : "-";
  std::fprintf(stderr, "%sdownloading %d/%d files  %s of %s  %s/s  ETA %s%s",
               is_terminal_ ? "\r\033[K" : "", p.files_done, p.files, bytes_text(done).c_str(),
               bytes_text(all).c_str(), bytes_text(std::max(0.0, rate)).c_str(), eta.c_str(),
               is_terminal_ ? "" : "\n");
  std::fflush(stderr);
  has_bar_ = is_terminal_;
}

void ProgressDisplay::print(const std::string& line) {
  const std::lock_guard lock(mutex_);
  wipe_bar();
  std::cerr << line << std::endl;
}

void ProgressDisplay::clear() {
  const std::lock_guard lock(mutex_);
  wipe_bar();
}

void ProgressDisplay::wipe_bar() {
  if (has_bar_) std::fputs("\r\033[K", stderr);
  has_bar_ = false;
}

}  // namespace zimage::cli
