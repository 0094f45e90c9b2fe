#include "layers/weight_delta.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <span>
#include <utility>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/low_rank.h"

namespace zimage {
namespace {

constexpr std::int64_t kBlockRows = 16;

float value_at(const Tensor& x, std::int64_t i) {
  return x.dtype() == Dtype::kBf16 ? static_cast<float>(x.data<bf16>()[i]) : x.data<float>()[i];
}

// values += factor * x[begin, begin + n).
template <class T>
void add_numbers(const T* x, std::int64_t n, float factor, float* values) {
  for (std::int64_t i = 0; i < n; ++i) values[i] += factor * static_cast<float>(x[i]);
}

void add_scaled(const Tensor& x, std::int64_t begin, std::int64_t n, float factor, float* values) {
  if (x.dtype() == Dtype::kBf16) return add_numbers(x.data<bf16>() + begin, n, factor, values);
  add_numbers(x.data<float>() + begin, n, factor, values);
}

template <class T>
void transpose(const T* x, std::int64_t rows, std::int64_t columns, T* y) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) y[c * rows + r] = x[r * columns + c];
  }
}

// The last two axes of [n, rows, columns] exchanged.
Tensor transposed(const Tensor& x) {
  const std::int64_t rows = x.dim(1), columns = x.dim(2), size = rows * columns;
  Tensor y = empty({x.dim(0), columns, rows}, x.dtype());
  parallel_blocks(x.dim(0), kBlockRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (x.dtype() == Dtype::kBf16) {
        transpose(x.data<bf16>() + i * size, rows, columns, y.data<bf16>() + i * size);
      } else {
        transpose(x.data<float>() + i * size, rows, columns, y.data<float>() + i * size);
      }
    }
  });
  return y;
}

Tensor transposed_matrix(const Tensor& x) {
  return transposed(x.reshape({1, x.dim(0), x.dim(1)})).reshape({x.dim(1), x.dim(0)});
}

// Operations of low-rank factors: of the matrix that they make, and for each row of x.
double decode_flop_of(const Tensor& down, const Tensor& up) {
  return 2.0 * static_cast<double>(down.numel()) * static_cast<double>(up.dim(0));
}
double row_flop_of(const Tensor& down, const Tensor& up) {
  return 2.0 * static_cast<double>(down.numel() + up.numel());
}

class LowRank : public WeightDelta {
 public:
  LowRank(Tensor down, Tensor up)
      : down_(std::move(down)), up_(std::move(up)), shape_{up_.dim(0), down_.dim(1)} {
    assert(up_.dim(1) == down_.dim(0));
  }

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override { return {down_, up_}; }
  bool is_small() const override { return down_.dim(0) <= std::max(shape_[0], shape_[1]); }
  double decode_flop() const override { return decode_flop_of(down_, up_); }
  ProductWork product_work() const override {
    return is_small() ? ProductWork{.per_row = row_flop_of(down_, up_)} : decoded_work();
  }
  WeightDeltaPtr prepared(Dtype dtype) const override {
    return low_rank_delta(ops::cast(down_, dtype), ops::cast(up_, dtype));
  }
  WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const override {
    return low_rank_delta(down_, up_.slice(begin, end));
  }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    ops::low_rank_row(down_, up_, row, channel, n, values);
  }
  Tensor product(const Tensor& x) const override {
    if (!is_small()) return WeightDelta::product(x);
    return ops::linear(ops::linear(x, down_, {}, x.dtype()), up_, {}, Dtype::kF32);
  }
  Tensor block(std::int64_t begin, std::int64_t end) const override {
    return ops::linear(up_.slice(begin, end), transposed_matrix(down_), {}, Dtype::kF32);
  }

 private:
  Tensor down_, up_;
  Shape shape_;
};

class Kronecker : public WeightDelta {
 public:
  Kronecker(Tensor left, WeightDeltaPtr right)
      : left_(std::move(left)),
        right_(std::move(right)),
        shape_{left_.dim(0) * right_->shape()[0], left_.dim(1) * right_->shape()[1]} {}

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override {
    std::vector<Tensor> all = right_->tensors();
    all.push_back(left_);
    return all;
  }
  // Between the factors there are b * c numbers for each row of x.
  bool is_small() const override {
    return left_.dim(1) * right_->shape()[0] <= std::max(shape_[0], shape_[1]);
  }
  double decode_flop() const override {
    return static_cast<double>(left_.numel()) * right_->decode_flop() +
           static_cast<double>(shape_.numel());
  }
  ProductWork product_work() const override {
    if (!is_small()) return decoded_work();
    const ProductWork inner = right_->product_work();
    const auto numbers = static_cast<double>(left_.numel() * right_->shape()[0]);
    return {static_cast<double>(left_.dim(1)) * inner.per_row + 2 * numbers, inner.decoding};
  }
  WeightDeltaPtr prepared(Dtype dtype) const override {
    return kronecker_delta(ops::cast(left_, dtype), right_->prepared(dtype));
  }
  WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const override;
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    const std::int64_t rows = right_->shape()[0], columns = right_->shape()[1];
    for (std::int64_t done = 0; done < n;) {
      const std::int64_t column = (channel + done) % columns;
      const std::int64_t part = std::min(columns - column, n - done);
      const float factor = value_at(left_, row / rows * left_.dim(1) + (channel + done) / columns);
      right_->decode(row % rows, column, part, values + done);
      for (std::int64_t i = 0; i < part; ++i) values[done + i] *= factor;
      done += part;
    }
  }
  Tensor product(const Tensor& x) const override {
    if (!is_small()) return WeightDelta::product(x);
    const std::int64_t rows = x.dim(0), a = left_.dim(0), b = left_.dim(1);
    const std::int64_t c = right_->shape()[0], d = right_->shape()[1];
    const auto inner = [&] {
      return ops::cast(right_->product(x.reshape({rows * b, d})), x.dtype());
    };
    const Tensor turned = transposed(inner().reshape({rows, b, c})).reshape({rows * c, b});
    const Tensor outer = ops::linear(turned, left_, {}, Dtype::kF32);
    return transposed(outer.reshape({rows, c, a})).reshape({rows, a * c});
  }

 private:
  Tensor left_;
  WeightDeltaPtr right_;
  Shape shape_;
};

class Hadamard : public WeightDelta {
 public:
  Hadamard(Tensor down1, Tensor up1, Tensor down2, Tensor up2)
      : down1_(std::move(down1)),
        up1_(std::move(up1)),
        down2_(std::move(down2)),
        up2_(std::move(up2)),
        shape_{up1_.dim(0), down1_.dim(1)} {}

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override { return {down1_, up1_, down2_, up2_}; }
  double decode_flop() const override {
    return decode_flop_of(down1_, up1_) + decode_flop_of(down2_, up2_) +
           static_cast<double>(shape_.numel());
  }
  WeightDeltaPtr prepared(Dtype dtype) const override {
    return hadamard_delta(ops::cast(down1_, dtype), ops::cast(up1_, dtype),
                          ops::cast(down2_, dtype), ops::cast(up2_, dtype));
  }
  WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const override {
    return hadamard_delta(down1_, up1_.slice(begin, end), down2_, up2_.slice(begin, end));
  }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    ops::low_rank_row(down1_, up1_, row, channel, n, values);
    constexpr std::int64_t kPart = 256;
    float factors[kPart];
    for (std::int64_t done = 0; done < n; done += kPart) {
      const std::int64_t part = std::min(kPart, n - done);
      ops::low_rank_row(down2_, up2_, row, channel + done, part, factors);
      for (std::int64_t i = 0; i < part; ++i) values[done + i] *= factors[i];
    }
  }

 private:
  Tensor down1_, up1_, down2_, up2_;
  Shape shape_;
};

class Dense : public WeightDelta {
 public:
  explicit Dense(Tensor matrix) : matrix_(std::move(matrix)) {}

  const Shape& shape() const override { return matrix_.shape(); }
  std::vector<Tensor> tensors() const override { return {matrix_}; }
  WeightDeltaPtr prepared(Dtype dtype) const override {
    return dense_delta(ops::cast(matrix_, dtype));
  }
  WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const override {
    return dense_delta(matrix_.slice(begin, end));
  }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    std::fill_n(values, n, 0.0f);
    add_scaled(matrix_, row * matrix_.dim(1) + channel, n, 1, values);
  }
  Tensor product(const Tensor& x) const override {
    return ops::linear(x, matrix_, {}, Dtype::kF32);
  }

 private:
  Tensor matrix_;
};

// Some rows of another delta, where they are not a delta of its own kind.
class SomeRows : public WeightDelta {
 public:
  SomeRows(WeightDeltaPtr whole, std::int64_t begin, std::int64_t end)
      : whole_(std::move(whole)), begin_(begin), shape_{end - begin, whole_->shape()[1]} {}

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override { return whole_->tensors(); }
  double decode_flop() const override {
    return whole_->decode_flop() * static_cast<double>(shape_[0]) /
           static_cast<double>(whole_->shape()[0]);
  }
  WeightDeltaPtr prepared(Dtype dtype) const override {
    return std::make_shared<const SomeRows>(whole_->prepared(dtype), begin_, begin_ + shape_[0]);
  }
  WeightDeltaPtr rows(std::int64_t begin, std::int64_t end) const override {
    return std::make_shared<const SomeRows>(whole_, begin_ + begin, begin_ + end);
  }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    whole_->decode(begin_ + row, channel, n, values);
  }

 private:
  WeightDeltaPtr whole_;
  std::int64_t begin_;
  Shape shape_;
};

WeightDeltaPtr Kronecker::rows(std::int64_t begin, std::int64_t end) const {
  const std::int64_t c = right_->shape()[0];
  if (begin % c == 0 && end % c == 0)
    return kronecker_delta(left_.slice(begin / c, end / c), right_);
  return std::make_shared<const SomeRows>(kronecker_delta(left_, right_), begin, end);
}

}  // namespace

Tensor WeightDelta::product(const Tensor& x) const {
  return ops::linear(x, *this, {}, Dtype::kF32);
}

Tensor WeightDelta::block(std::int64_t begin, std::int64_t end) const {
  const std::int64_t in = shape()[1];
  Tensor result = empty({end - begin, in});
  const double share = static_cast<double>(end - begin) / static_cast<double>(shape()[0]);
  const profile::Op op(
      "decode", {end - begin, in},
      {.flop = share * decode_flop(),
       .bytes = share * static_cast<double>(bytes()) + static_cast<double>(result.bytes())});
  parallel_blocks(end - begin, kBlockRows, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      decode(begin + i, 0, in, result.data<float>() + i * in);
    }
  });
  return result;
}

std::uint64_t WeightDelta::resident_bytes(Dtype dtype) const {
  std::uint64_t sum = 0;
  for (const Tensor& tensor : tensors()) {
    const std::size_t bytes = static_cast<std::size_t>(tensor.numel()) * size_of(dtype);
    sum += tensor.dtype() == dtype ? bytes : allocator::rounded(bytes);
  }
  return sum;
}

WeightDeltaPtr low_rank_delta(Tensor down, Tensor up) {
  return std::make_shared<const LowRank>(std::move(down), std::move(up));
}

WeightDeltaPtr kronecker_delta(Tensor left, WeightDeltaPtr right) {
  return std::make_shared<const Kronecker>(std::move(left), std::move(right));
}

WeightDeltaPtr hadamard_delta(Tensor down1, Tensor up1, Tensor down2, Tensor up2) {
  return std::make_shared<const Hadamard>(std::move(down1), std::move(up1), std::move(down2),
                                          std::move(up2));
}

WeightDeltaPtr dense_delta(Tensor matrix) {
  return std::make_shared<const Dense>(std::move(matrix));
}

}  // namespace zimage
