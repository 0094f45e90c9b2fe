// How adapters act on the product with a weight: the sums of which it is made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/adapters.h"

namespace zimage {

// Rows of x whose change is computed at a time where that needs a whole weight.
inline constexpr std::int64_t kDeltaRows = 512;

// W + sum of scale * (W' - W) over the adapters, taken apart into
// diag(own) W + sum diag(rows) delta + sum (W + factor * delta) diag(columns).
struct AdapterSum {
  struct RowTerm {
    WeightDeltaPtr delta;
    Tensor rows;  // [out] f32
  };
  struct ColumnTerm {
    WeightDeltaPtr delta;  // may be null
    float factor;
    Tensor columns;  // [in] f32
  };
  Tensor own;  // [out] f32; undefined: all ones
  std::vector<RowTerm> by_rows;
  std::vector<ColumnTerm> by_columns;
  Tensor bias;  // [out] f32 or undefined

  bool has_weights() const { return own.defined() || !by_rows.empty() || !by_columns.empty(); }
};

Tensor filled(std::int64_t n, float value);  // [n] f32

// Deltas are prepared for `dtype`.
AdapterSum sum_of(const WeightMatrix& weight, const std::vector<ModuleAdapter>& adapters,
                  const Shape& shape, Dtype dtype, const std::string& where);

// Rows [begin, end) of a weight as the sum makes them, f32.
Tensor block_of(const WeightMatrix& weight, const AdapterSum& sum, std::int64_t begin,
                std::int64_t end);

}  // namespace zimage
