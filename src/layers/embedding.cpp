#include "layers/embedding.h"

#include <cstring>
#include <utility>

#include "core/check.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

const Shape& shape_of(const WeightMatrix& table) {
  if (table.rows() != nullptr) return table.rows()->shape();
  return table.int8() != nullptr ? table.int8()->values.shape() : table.dense()->shape();
}

// One row, [1, dim] f32.
Tensor row_of(const WeightMatrix& table, std::int64_t row) {
  if (const ops::WeightRows* const rows = table.rows()) {
    Tensor values = empty({1, rows->shape()[1]});
    rows->decode(row, 0, values.numel(), values.data<float>());
    return values;
  }
  if (const ops::Int8Matrix* const matrix = table.int8()) {
    return ops::dequantize(
        {matrix->values.slice(row, row + 1), matrix->scales.slice(row, row + 1), matrix->rotation},
        Dtype::kF32);
  }
  return ops::cast(table.dense()->slice(row, row + 1), Dtype::kF32);
}

}  // namespace

Embedding::Embedding(WeightMatrix table) : table_(std::move(table)), shape_(shape_of(table_)) {}

Tensor Embedding::operator()(std::span<const std::int32_t> ids) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  Tensor rows = empty({tokens, shape_[1]});
  for (std::int64_t i = 0; i < tokens; ++i) {
    check(0 <= ids[i] && ids[i] < shape_[0], "text encoder: token ", i, " has id ", ids[i],
          ", expected 0 to ", shape_[0] - 1);
    const Tensor row = row_of(table_, ids[i]);
    std::memcpy(rows.data<float>() + i * shape_[1], row.raw(), row.bytes());
  }
  return rows;
}

}  // namespace zimage
