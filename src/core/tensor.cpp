#include "core/tensor.h"

#include <algorithm>
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

Tensor concat(const Tensor& a, const Tensor& b) {
  Shape shape = a.shape();
  shape[0] = b.dim(0);
  check(shape == b.shape() && a.dtype() == b.dtype(), "concat: ", b.shape(), " ", b.dtype(),
        " does not fit below ", a.shape(), " ", a.dtype());
  shape[0] = a.dim(0) + b.dim(0);
  Tensor joined = empty(shape, a.dtype());
  std::memcpy(joined.raw(), a.raw(), a.bytes());
  std::memcpy(joined.raw() + a.bytes(), b.raw(), b.bytes());
  return joined;
}

}  // namespace zimage
