#include "layers/adapted_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <span>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

constexpr std::int64_t kBlockRows = 256;  // of weights that are decoded at a time
constexpr std::int64_t kGrain = 16;       // rows of a parallel task

Tensor f32_vector(const Tensor& x) { return ops::cast(x.reshape({x.numel()}), Dtype::kF32); }

// Calls body(row, values) for the rows of x, f32.
void for_rows(Tensor& x, const std::function<void(std::int64_t row, float* values)>& body) {
  const std::int64_t width = x.dim(1);
  parallel_blocks(x.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i, x.data<float>() + i * width);
  });
}

// Rows of W + factor * delta; delta may be null.
Tensor block_with(const WeightMatrix& weight, const WeightDelta* delta, float factor,
                  std::int64_t begin, std::int64_t end) {
  const Tensor block = decoded_rows(weight, begin, end);
  if (delta == nullptr) return block;
  return ops::add_gated(block, delta->block(begin, end), filled(block.dim(1), factor));
}

// Norms of the rows or of the columns of W + factor * delta.
std::vector<double> norms_of(const WeightMatrix& weight, const WeightDelta* delta, float factor,
                             const Shape& shape, bool by_columns) {
  std::vector<double> squares(static_cast<std::size_t>(shape[by_columns ? 1 : 0]), 0.0);
  for (std::int64_t begin = 0; begin < shape[0]; begin += kBlockRows) {
    const std::int64_t end = std::min(begin + kBlockRows, shape[0]);
    const Tensor block = block_with(weight, delta, factor, begin, end);
    const auto add = [&](std::int64_t row, std::int64_t i) {
      const double value = block.data<float>()[(row - begin) * shape[1] + i];
      squares[static_cast<std::size_t>(by_columns ? i : row)] += value * value;
    };
    // Each sum belongs to one task, which adds in order.
    if (by_columns) {
      parallel_blocks(shape[1], 64, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = begin; row < end; ++row) {
          for (std::int64_t i = first; i < last; ++i) add(row, i);
        }
      });
    } else {
      parallel_blocks(end - begin, kGrain, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = begin + first; row < begin + last; ++row) {
          for (std::int64_t i = 0; i < shape[1]; ++i) add(row, i);
        }
      });
    }
  }
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

// m / norm, for every row or column.
Tensor computed_gates(const WeightMatrix& weight, const ModuleAdapter& adapter, const Shape& shape,
                      const WeightDelta& delta, bool by_columns, const std::string& where) {
  const auto norms = norms_of(weight, &delta, adapter.factor, shape, by_columns);
  Tensor gates = f32_vector(adapter.magnitude).clone();
  for (std::size_t i = 0; i < norms.size(); ++i) {
    float& gate = gates.data<float>()[i];
    gate = static_cast<float>(gate / norms[i]);
    check(std::isfinite(gate), where, ": ", by_columns ? "column " : "row ", i,
          " of the weight has the norm ", norms[i], ", which an adapter's magnitude cannot scale");
  }
  return gates;
}

class SumBuilder {
 public:
  SumBuilder(const WeightMatrix& weight, const Shape& shape, Dtype dtype, const std::string& where)
      : weight_(weight), shape_(shape), dtype_(dtype), where_(where) {}

  void add(const ModuleAdapter& a) {
    if (a.bias.defined()) add_bias_of(a);
    if (!a.delta) return;
    WeightDeltaPtr delta = a.delta->prepared(dtype_);
    if (!a.magnitude.defined()) {
      sum_.by_rows.push_back({std::move(delta), filled(shape_[0], a.scale * a.factor)});
      return;
    }
    const bool by_columns = a.magnitude.rank() == 2;
    const Tensor gates = gates_of(a, *delta, by_columns);
    by_columns ? add_columns(a, std::move(delta), gates) : add_rows(a, std::move(delta), gates);
  }

  AdapterSum sum() && { return std::move(sum_); }

 private:
  Tensor gates_of(const ModuleAdapter& a, const WeightDelta& delta, bool by_columns) const {
    const auto compute = [&] {
      return computed_gates(weight_, a, shape_, delta, by_columns, where_);
    };
    return a.gates ? a.gates->get(compute) : compute();
  }

  float* own() {
    if (!sum_.own.defined()) sum_.own = filled(shape_[0], 1);
    return sum_.own.data<float>();
  }

  void add_bias_of(const ModuleAdapter& a) {
    const Tensor bias = f32_vector(a.bias);
    const Tensor before = sum_.bias.defined() ? sum_.bias : zeros({shape_[0]});
    sum_.bias = ops::add_gated(before.reshape({1, shape_[0]}), bias.reshape({1, shape_[0]}),
                               filled(shape_[0], a.scale))
                    .reshape({shape_[0]});
  }

  // scale * (diag(gates) (W + factor * delta) - W)
  void add_rows(const ModuleAdapter& a, WeightDeltaPtr delta, const Tensor& gates) {
    Tensor rows = empty({shape_[0]});
    for (std::int64_t i = 0; i < shape_[0]; ++i) {
      const float gate = gates.data<float>()[i];
      own()[i] += a.scale * (gate - 1);
      rows.data<float>()[i] = a.scale * gate * a.factor;
    }
    sum_.by_rows.push_back({std::move(delta), rows});
  }

  // scale * ((W + factor * delta) diag(gates) - W)
  void add_columns(const ModuleAdapter& a, WeightDeltaPtr delta, const Tensor& gates) {
    for (std::int64_t i = 0; i < shape_[0]; ++i) own()[i] -= a.scale;
    Tensor columns = gates.clone();
    for (float& value : std::span(columns.data<float>(), static_cast<std::size_t>(shape_[1]))) {
      value *= a.scale;
    }
    sum_.by_columns.push_back({std::move(delta), a.factor, columns});
  }

  const WeightMatrix& weight_;
  const Shape& shape_;
  Dtype dtype_;
  const std::string& where_;
  AdapterSum sum_;
};

}  // namespace

Tensor filled(std::int64_t n, float value) {
  Tensor x = empty({n});
  std::fill_n(x.data<float>(), n, value);
  return x;
}

AdapterSum sum_of(const WeightMatrix& weight, const std::vector<ModuleAdapter>& adapters,
                  const Shape& shape, Dtype dtype, const std::string& where) {
  SumBuilder builder(weight, shape, dtype, where);
  for (const ModuleAdapter& adapter : adapters) builder.add(adapter);
  return std::move(builder).sum();
}

Tensor block_of(const WeightMatrix& weight, const AdapterSum& sum, std::int64_t begin,
                std::int64_t end) {
  const Tensor own = decoded_rows(weight, begin, end);
  Tensor block = own.clone();
  const std::int64_t in = block.dim(1);
  if (sum.own.defined()) {
    for_rows(block, [&](std::int64_t row, float* values) {
      for (std::int64_t i = 0; i < in; ++i) values[i] *= sum.own.data<float>()[begin + row];
    });
  }
  for (const auto& term : sum.by_rows) {
    const Tensor delta = term.delta->block(begin, end);
    for_rows(block, [&](std::int64_t row, float* values) {
      const float factor = term.rows.data<float>()[begin + row];
      const float* d = delta.data<float>() + row * in;
      for (std::int64_t i = 0; i < in; ++i) values[i] += factor * d[i];
    });
  }
  for (const auto& term : sum.by_columns) {
    Tensor changed = own;
    if (term.delta) {
      changed = ops::add_gated(own, term.delta->block(begin, end), filled(in, term.factor));
    }
    block = ops::add_gated(block, changed, term.columns);
  }
  return block;
}

Tensor merged(const WeightMatrix& weight, const std::vector<ModuleAdapter>& adapters,
              const Shape& shape, Dtype dtype, const std::string& where) {
  const AdapterSum sum = sum_of(weight, adapters, shape, Dtype::kF32, where);
  Tensor result = empty(shape, dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(shape[1]) * size_of(dtype);
  for (std::int64_t begin = 0; begin < shape[0]; begin += kBlockRows) {
    const std::int64_t end = std::min(begin + kBlockRows, shape[0]);
    const Tensor block = ops::cast(block_of(weight, sum, begin, end), dtype);
    std::memcpy(result.raw() + static_cast<std::size_t>(begin) * row_bytes, block.raw(),
                block.bytes());
  }
  return result;
}

}  // namespace zimage
