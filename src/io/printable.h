#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zimage {

// Text from outside, fit for one line of a message: control characters and bytes that are no UTF-8
// appear as \xNN, and what is longer than max_bytes is cut in the middle.
std::string printable(std::string_view text, std::size_t max_bytes = 200);

}  // namespace zimage
