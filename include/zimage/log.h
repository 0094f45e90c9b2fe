#pragma once

#include <functional>
#include <string_view>

namespace zimage {

enum class LogLevel { kInfo, kWarning };

// Receives every message of the library, one line each, from any thread.
using LogSink = std::function<void(LogLevel, std::string_view)>;

// Replaces the sink; an empty one drops messages. At first "warning: ..." and "..." go to stderr.
void set_log_sink(LogSink sink);

}  // namespace zimage
