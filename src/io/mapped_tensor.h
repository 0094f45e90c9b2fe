#pragma once

#include <cstdint>
#include <memory>

#include "core/tensor.h"
#include "io/mapped_file.h"

namespace zimage {

// The numbers from byte `begin` of the file on, which are inside it: a read-only view that keeps
// the mapping alive, or a copy where they are not aligned to their size.
Tensor tensor_in(const std::shared_ptr<const MappedFile>& file, std::uint64_t begin,
                 const Shape& shape, Dtype dtype);

}  // namespace zimage
