#include "layers/embedding.h"

#include <cstring>

#include "core/check.h"
#include "ops/elementwise.h"

namespace zimage {

Tensor Embedding::operator()(std::span<const std::int32_t> ids) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  const auto vocabulary = table_.dim(0), dim = table_.dim(1);
  Tensor rows = empty({tokens, dim}, table_.dtype());
  const auto row_bytes = static_cast<std::size_t>(dim) * size_of(table_.dtype());
  for (std::int64_t i = 0; i < tokens; ++i) {
    check(0 <= ids[i] && ids[i] < vocabulary, "text encoder: token ", i, " has id ", ids[i],
          ", expected 0 to ", vocabulary - 1);
    std::memcpy(rows.raw() + i * row_bytes, table_.raw() + ids[i] * row_bytes, row_bytes);
  }
  return ops::cast(rows, Dtype::kF32);
}

}  // namespace zimage
