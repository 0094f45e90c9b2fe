#pragma once

#include <sstream>
#include <string>

#include "zimage/error.h"

namespace zimage {

// operator<< of every part, concatenated.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws Error with the concatenated parts unless ok.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) throw Error(str(parts...));
}

// The same for what the command line or an API caller got wrong.
template <class... Parts>
void check_usage(bool ok, const Parts&... parts) {
  if (!ok) throw UsageError(str(parts...));
}

}  // namespace zimage
