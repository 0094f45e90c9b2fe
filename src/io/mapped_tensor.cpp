#include "io/mapped_tensor.h"

#include <cstring>

namespace zimage {

Tensor tensor_in(const std::shared_ptr<const MappedFile>& file, std::uint64_t begin,
                 const Shape& shape, Dtype dtype) {
  const std::byte* data = file->bytes().data() + begin;
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) != 0) {
    Tensor copy = empty(shape, dtype);
    std::memcpy(copy.raw(), data, copy.bytes());
    return copy;
  }
  // Tensor has no const form; the pages are mapped read-only and only a tensor's maker writes.
  return {std::shared_ptr<std::byte>(file, const_cast<std::byte*>(data)), shape, dtype};
}

}  // namespace zimage
