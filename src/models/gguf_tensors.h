#pragma once

#include <string>

namespace zimage {

// Says that a tensor of a GGUF file cannot be read, with its type and the types that are read.
std::string unreadable_type(const std::string& type, const std::string& tensor,
                            const std::string& where);

}  // namespace zimage
