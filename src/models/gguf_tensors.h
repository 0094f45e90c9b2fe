#pragma once

#include <string>

#include "ops/block_rows.h"

namespace zimage {

// The format of a tensor whose type a GGUF file calls so. Throws Error, naming the tensor, its type
// and the types that are read, for another.
const ops::BlockFormat& block_format(const std::string& type, const std::string& tensor,
                                     const std::string& where);

}  // namespace zimage
