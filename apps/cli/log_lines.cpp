#include "log_lines.h"

#include <string>

#include "zimage/log.h"

namespace zimage::cli {

LogLines::LogLines(ProgressDisplay& display) {
  set_log_sink([&display](LogLevel level, std::string_view message) {
    if (level == LogLevel::kInfo) return display.note(std::string(message));
    display.print("warning: " + std::string(message));
  });
}

LogLines::~LogLines() { set_log_sink({}); }

}  // namespace zimage::cli
