#pragma once

#include "progress.h"

namespace zimage::cli {

// Shows the library's messages on stderr, above the progress bar, for a scope.
class LogLines {
 public:
  explicit LogLines(ProgressDisplay& display);
  ~LogLines();
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
};

}  // namespace zimage::cli
