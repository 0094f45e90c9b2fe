#include "core/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ostream>

#include "core/allocator.h"
#include "core/check.h"

namespace zimage {

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i > 0 ? ", " : "") << shape[i];
  return out << ']';
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(shape.numel() == numel(), "reshape: ", shape, " does not have the elements of ", shape_);
  return {data_, shape, dtype_};
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  check(rank() > 0 && 0 <= begin && begin <= end && end <= dim(0), "slice: rows ", begin, " to ",
        end, " of ", shape_);
  Shape shape = shape_;
  shape[0] = end - begin;
  const auto row_bytes =
      dim(0) == 0 ? 0 : static_cast<std::int64_t>(bytes()) / dim(0);  // axes inside a row
  return {std::shared_ptr<std::byte>(data_, data_.get() + begin * row_bytes), shape, dtype_};
}

Tensor Tensor::clone() const {
  Tensor copy = empty(shape_, dtype_);
  std::memcpy(copy.raw(), raw(), bytes());
  return copy;
}

Tensor empty(const Shape& shape, Dtype dtype) {
  const auto bytes = static_cast<std::size_t>(shape.numel()) * size_of(dtype);
  return {allocator::allocate(bytes), shape, dtype};
}

Tensor zeros(const Shape& shape, Dtype dtype) {
  Tensor t = empty(shape, dtype);
  std::memset(t.raw(), 0, t.bytes());
  return t;
}

Tensor from_values(const Shape& shape, std::initializer_list<float> values) {
  check(shape.numel() == static_cast<std::int64_t>(values.size()), "from_values: ", values.size(),
        " values for ", shape);
  Tensor t = empty(shape);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

Tensor concat(std::span<const Tensor> parts) {
  check(!parts.empty(), "concat: no parts");
  const Tensor& first = parts.front();
  if (parts.size() == 1) return first;
  Shape shape = first.shape();
  shape[0] = 0;
  for (const Tensor& part : parts) {
    Shape as_first = part.shape();
    if (as_first.rank() > 0) as_first[0] = first.dim(0);
    check(as_first == first.shape() && part.dtype() == first.dtype(), "concat: ", part.shape(), " ",
          part.dtype(), " does not fit below ", first.shape(), " ", first.dtype());
    shape[0] += part.dim(0);
  }
  Tensor joined = empty(shape, first.dtype());
  std::byte* at = joined.raw();
  for (const Tensor& part : parts) {
    std::memcpy(at, part.raw(), part.bytes());
    at += part.bytes();
  }
  return joined;
}

Tensor concat(const Tensor& a, const Tensor& b) { return concat(std::array{a, b}); }

}  // namespace zimage
