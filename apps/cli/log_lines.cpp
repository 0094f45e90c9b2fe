#include "log_lines.h"

#include <iostream>
#include <mutex>

#include "zimage/log.h"

namespace zimage::cli {

LogLines::LogLines(ProgressDisplay& display) {
  set_log_sink([&display](LogLevel level, std::string_view message) {
    static std::mutex mutex;  // downloads log from several threads
    const std::lock_guard lock(mutex);
    display.clear();
    if (level == LogLevel::kInfo && !display.is_enabled()) return;
    std::cerr << (level == LogLevel::kWarning ? "warning: " : "") << message << std::endl;
  });
}

LogLines::~LogLines() { set_log_sink({}); }

}  // namespace zimage::cli
