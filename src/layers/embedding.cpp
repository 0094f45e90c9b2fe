#include "layers/embedding.h"

#include <cstring>
#include <utility>

#include "core/check.h"

namespace zimage {
namespace {

const Shape& shape_of(const WeightMatrix& table) {
  if (table.rows() != nullptr) return table.rows()->shape();
  return table.int8() != nullptr ? table.int8()->values.shape() : table.dense()->shape();
}

}  // namespace

Embedding::Embedding(WeightMatrix table) : table_(std::move(table)), shape_(shape_of(table_)) {}

Tensor Embedding::operator()(std::span<const std::int32_t> ids) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  Tensor rows = empty({tokens, shape_[1]});
  for (std::int64_t i = 0; i < tokens; ++i) {
    check(0 <= ids[i] && ids[i] < shape_[0], "text encoder: token ", i, " has id ", ids[i],
          ", expected 0 to ", shape_[0] - 1);
    const Tensor row = decoded_rows(table_, ids[i], ids[i] + 1);
    std::memcpy(rows.data<float>() + i * shape_[1], row.raw(), row.bytes());
  }
  return rows;
}

}  // namespace zimage
