#include "core/log.h"

#include <cstdio>
#include <mutex>
#include <utility>

namespace zimage {
namespace {

void to_stderr(LogLevel level, std::string_view message) {
  std::fprintf(stderr, "%s%.*s\n", level == LogLevel::kWarning ? "warning: " : "",
               static_cast<int>(message.size()), message.data());
}

std::mutex g_mutex;

LogSink& sink() {
  static LogSink instance = to_stderr;
  return instance;
}

}  // namespace

void set_log_sink(LogSink replacement) {
  const std::lock_guard lock(g_mutex);
  sink() = std::move(replacement);
}

void log(LogLevel level, std::string_view message) {
  const std::lock_guard lock(g_mutex);
  if (sink()) sink()(level, message);
}

}  // namespace zimage
