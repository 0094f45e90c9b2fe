#pragma once

#include "core/check.h"
#include "zimage/log.h"

namespace zimage {

void log(LogLevel level, std::string_view message);

template <class... Parts>
void log_info(const Parts&... parts) {
  log(LogLevel::kInfo, str(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log(LogLevel::kWarning, str(parts...));
}

}  // namespace zimage
