#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <span>

#include "core/dtype.h"
#include "core/shape.h"

namespace zimage {

// A value: shared buffer + shape + dtype, always contiguous, row major. Copies share the buffer.
// Functions return new tensors; only a tensor's maker writes into it.
class Tensor {
 public:
  Tensor() = default;  // "no tensor": defined() is false, as for an absent bias

  // `data` keeps its owner (a buffer, a mapped file) alive.
  Tensor(std::shared_ptr<std::byte> data, const Shape& shape, Dtype dtype)
      : data_(std::move(data)), shape_(shape), dtype_(dtype) {}

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  std::int64_t numel() const { return shape_.numel(); }
  Dtype dtype() const { return dtype_; }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  const std::byte* raw() const { return data_.get(); }
  std::byte* raw() { return data_.get(); }

  template <class T>
  const T* data() const {
    assert(DtypeOf<T>::value == dtype_);
    return reinterpret_cast<const T*>(data_.get());
  }
  template <class T>
  T* data() {
    assert(DtypeOf<T>::value == dtype_);
    return reinterpret_cast<T*>(data_.get());
  }

  // The same buffer under another shape of the same number of elements.
  Tensor reshape(const Shape& shape) const;
  // Rows [begin, end) of the outermost axis, sharing the buffer.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  // A copy with a buffer of its own.
  Tensor clone() const;

 private:
  std::shared_ptr<std::byte> data_;
  Shape shape_;
  Dtype dtype_ = Dtype::kF32;
};

Tensor empty(const Shape& shape, Dtype dtype = Dtype::kF32);  // uninitialised
Tensor zeros(const Shape& shape, Dtype dtype = Dtype::kF32);
Tensor from_values(const Shape& shape, std::initializer_list<float> values);  // f32
// Concatenates along the outermost axis; the other axes and dtypes are equal. A single part is
// returned as it is.
Tensor concat(std::span<const Tensor> parts);
Tensor concat(const Tensor& a, const Tensor& b);

}  // namespace zimage
