#include "models/listed_names.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {

std::string listed_names(const std::vector<std::string>& names, std::size_t shown,
                         std::size_t most_bytes) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i], most_bytes);
  }
  return names.size() > shown ? str(text, " and ", names.size() - shown, " more") : text;
}

}  // namespace zimage
