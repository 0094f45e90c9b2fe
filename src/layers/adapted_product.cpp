// Products with adapted weights.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/parallel.h"
#include "layers/adapted_weight.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

constexpr std::int64_t kGrain = 16;  // rows of a parallel task

// x times a factor for each channel, in the dtype of x.
Tensor times_channels(const Tensor& x, const Tensor& factors) {
  Tensor y = empty(x.shape(), x.dtype());
  const std::int64_t width = x.dim(1);
  const float* f = factors.data<float>();
  parallel_blocks(x.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const Tensor from = ops::cast(x.slice(begin, end), Dtype::kF32);
    Tensor products = empty(from.shape());
    for (std::int64_t row = 0; row < end - begin; ++row) {
      const float* values = from.data<float>() + row * width;
      float* y_values = products.data<float>() + row * width;
      for (std::int64_t i = 0; i < width; ++i) y_values[i] = values[i] * f[i];
    }
    const Tensor result = ops::cast(products, x.dtype());
    std::memcpy(y.slice(begin, end).raw(), result.raw(), result.bytes());
  });
  return y;
}

// y = own * y + bias, where there is an own, and then y += factors * x; own, bias (or undefined)
// and factors: [out] f32. In one pass over y and x, which are large.
void add_scaled(Tensor& y, const Tensor& x, const Tensor& factors, const Tensor& own,
                const Tensor& bias) {
  const std::int64_t width = y.dim(1);
  const float* f = factors.data<float>();
  const float* o = own.defined() ? own.data<float>() : nullptr;
  const float* b = bias.defined() ? bias.data<float>() : nullptr;
  parallel_blocks(y.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* values = y.data<float>() + row * width;
      const float* added = x.data<float>() + row * width;
      for (std::int64_t i = 0; o != nullptr && i < width; ++i) values[i] *= o[i];
      for (std::int64_t i = 0; o != nullptr && b != nullptr && i < width; ++i) values[i] += b[i];
      for (std::int64_t i = 0; i < width; ++i) values[i] += f[i] * added[i];
    }
  });
}

// Calls body(begin, end) for parts of so many rows, one after the other.
template <class Body>
void for_strips(std::int64_t rows, std::int64_t strip, Body&& body) {
  for (std::int64_t begin = 0; begin < rows; begin += strip) {
    body(begin, std::min(begin + strip, rows));
  }
}

Tensor sum_of_biases(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? ops::add(a, b) : a;
}

// Weights with deltas whose product costs as much as the weight's own: both are decoded into one.
class SummedRows : public ops::WeightRows {
 public:
  SummedRows(WeightMatrix weight, const Shape& shape, Tensor own,
             std::vector<AdapterSum::RowTerm> terms)
      : weight_(std::move(weight)), shape_(shape), own_(std::move(own)), terms_(std::move(terms)) {}

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override {
    std::vector<Tensor> all;
    if (weight_.dense() != nullptr) all.push_back(*weight_.dense());
    if (weight_.rows() != nullptr) all = weight_.rows()->tensors();
    for (const auto& term : terms_) {
      for (const Tensor& tensor : term.delta->tensors()) all.push_back(tensor);
    }
    return all;
  }
  double decode_flop() const override {
    double sum = weight_.rows() != nullptr ? weight_.rows()->decode_flop() : 0;
    for (const auto& term : terms_) sum += term.delta->decode_flop();
    return sum;
  }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    decode_weight(row, channel, n, values);
    if (own_.defined()) {
      for (std::int64_t i = 0; i < n; ++i) values[i] *= own_.data<float>()[row];
    }
    constexpr std::int64_t kPart = 512;
    float part[kPart];
    for (const auto& term : terms_) {
      const float factor = term.rows.data<float>()[row];
      for (std::int64_t done = 0; done < n; done += kPart) {
        const std::int64_t size = std::min(kPart, n - done);
        term.delta->decode(row, channel + done, size, part);
        for (std::int64_t i = 0; i < size; ++i) values[done + i] += factor * part[i];
      }
    }
  }

 private:
  void decode_weight(std::int64_t row, std::int64_t channel, std::int64_t n, float* values) const {
    if (weight_.rows() != nullptr) return weight_.rows()->decode(row, channel, n, values);
    const Tensor& x = *weight_.dense();
    const std::int64_t at = row * shape_[1] + channel;
    for (std::int64_t i = 0; i < n; ++i) {
      values[i] = x.dtype() == Dtype::kBf16 ? static_cast<float>(x.data<bf16>()[at + i])
                                            : x.data<float>()[at + i];
    }
  }

  WeightMatrix weight_;
  Shape shape_;
  Tensor own_;
  std::vector<AdapterSum::RowTerm> terms_;
};

class AdaptedWeight : public ComposedWeight {
 public:
  AdaptedWeight(WeightMatrix weight, const Shape& shape, AdapterSum sum)
      : weight_(weight), main_(std::move(weight)), shape_(shape), sum_(std::move(sum)) {
    const bool has_decoded = weight_.int8() == nullptr && absorb_large();
    if (!has_decoded) fold_columns();
    part_rows_ = is_small() ? kPartRows : kDeltaRows;
  }

  Tensor product(const Tensor& x, const Tensor& bias, Dtype out_dtype) const override {
    const Tensor all = sum_of_biases(bias, sum_.bias);
    if (!sum_.has_weights()) return main_.product(x, all, out_dtype);
    Shape shape = x.shape();
    shape[-1] = shape_[0];
    Tensor y = empty(shape, out_dtype);
    const std::int64_t in = shape_[1], out = shape_[0], rows = x.numel() / in;
    const Tensor flat = x.reshape({rows, in});
    Tensor flat_y = y.reshape({rows, out});
    for_strips(rows, kAdaptedStripRows, [&](std::int64_t begin, std::int64_t end) {
      const Tensor strip = flat.slice(begin, end);
      Tensor sums = main_product(strip, all);
      for_strips(end - begin, part_rows_, [&](std::int64_t first, std::int64_t last) {
        Tensor part = sums.slice(first, last);
        add_to(part, strip.slice(first, last), all);
        copy(ops::cast(part, out_dtype), flat_y.slice(begin + first, begin + last));
      });
    });
    return y;
  }

 private:
  // Rows of x whose change is computed at a time: few enough that what is summed stays in a cache.
  static constexpr std::int64_t kPartRows = 256;

  // Whether there was one.
  bool absorb_large() {
    const auto large =
        std::stable_partition(sum_.by_rows.begin(), sum_.by_rows.end(),
                              [](const auto& term) { return term.delta->is_small(); });
    if (large == sum_.by_rows.end()) return false;
    std::vector<AdapterSum::RowTerm> terms(large, sum_.by_rows.end());
    sum_.by_rows.erase(large, sum_.by_rows.end());
    main_ = WeightMatrix(std::shared_ptr<const ops::WeightRows>(std::make_shared<const SummedRows>(
        weight_, shape_, std::exchange(sum_.own, {}), std::move(terms))));
    return true;
  }

  // Where all rows of the weight have one factor, those of the columns make one product of all.
  void fold_columns() {
    if (sum_.by_columns.empty()) return;
    const float* own = sum_.own.data<float>();
    const bool is_uniform = std::all_of(own, own + shape_[0], [&](float f) { return f == own[0]; });
    if (!is_uniform) return;
    columns_ = filled(shape_[1], own[0]);
    for (const auto& term : sum_.by_columns) columns_ = ops::add(columns_, term.columns);
    sum_.own = {};
  }

  // Whether no part needs a weight or a change as a whole.
  bool is_small() const {
    const auto is_large = [](const auto& term) { return term.delta && !term.delta->is_small(); };
    const bool has_weight = !sum_.by_columns.empty() && !columns_.defined();
    return !has_weight && std::none_of(sum_.by_rows.begin(), sum_.by_rows.end(), is_large) &&
           std::none_of(sum_.by_columns.begin(), sum_.by_columns.end(), is_large);
  }

  static void copy(const Tensor& from, Tensor to) {
    std::memcpy(to.raw(), from.raw(), from.bytes());
  }

  Tensor main_product(const Tensor& x, const Tensor& bias) const {
    const Tensor now = sum_.own.defined() ? Tensor() : bias;  // else add_to() adds it
    if (!columns_.defined()) return main_.product(x, now, Dtype::kF32);
    return main_.product(times_channels(x, columns_), now, Dtype::kF32);
  }

  // y: the product of x, [rows, in], with main_; becomes that with all.
  void add_to(Tensor& y, const Tensor& x, const Tensor& bias) const {
    Tensor own = sum_.own;  // for the first of them
    const auto add = [&](const Tensor& product, const Tensor& factors) {
      add_scaled(y, product, factors, std::exchange(own, {}), bias);
    };
    for (const auto& term : sum_.by_rows) add(term.delta->product(x), term.rows);
    for (const auto& term : sum_.by_columns) {
      const Tensor scaled = times_channels(x, term.columns);
      if (!columns_.defined()) {
        add(weight_.product(scaled, {}, Dtype::kF32), filled(shape_[0], 1));
      }
      if (term.delta) add(term.delta->product(scaled), filled(shape_[0], term.factor));
    }
  }

  WeightMatrix weight_;  // as it was
  WeightMatrix main_;    // with the deltas that are decoded along with it
  Shape shape_;
  AdapterSum sum_;
  Tensor columns_;  // [in] f32: factors of all columns of the weight, in place of `own`
  std::int64_t part_rows_ = 0;
};

}  // namespace

WeightMatrix adapted(WeightMatrix weight, const std::vector<ModuleAdapter>& adapters,
                     const Shape& shape, Dtype compute, const std::string& where) {
  AdapterSum sum = sum_of(weight, adapters, shape, compute, where);
  return WeightMatrix(std::shared_ptr<const ComposedWeight>(
      std::make_shared<const AdaptedWeight>(std::move(weight), shape, std::move(sum))));
}

WeightMatrix with_biases(WeightMatrix merged, const std::vector<ModuleAdapter>& adapters,
                         std::int64_t out) {
  std::vector<ModuleAdapter> biases;
  for (const ModuleAdapter& a : adapters) {
    if (a.bias.defined()) {
      biases.push_back({.delta = nullptr, .factor = 1, .scale = a.scale, .bias = a.bias});
    }
  }
  if (biases.empty()) return merged;
  return adapted(std::move(merged), biases, {out, 0}, Dtype::kF32, "");
}

}  // namespace zimage
