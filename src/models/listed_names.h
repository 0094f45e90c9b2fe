#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace zimage {

// For messages: the first `shown` names, printable and each cut at `most_bytes`, and how many more
// there are.
std::string listed_names(const std::vector<std::string>& names, std::size_t shown = 6,
                         std::size_t most_bytes = 200);

}  // namespace zimage
