#include "layers/weight_matrix.h"

#include <cassert>

#include "core/parallel.h"
#include "ops/elementwise.h"

namespace zimage {

Tensor decoded_rows(const WeightMatrix& weight, std::int64_t begin, std::int64_t end) {
  if (weight.dense() != nullptr) return ops::cast(weight.dense()->slice(begin, end), Dtype::kF32);
  if (const ops::Int8Matrix* int8 = weight.int8()) {
    return ops::dequantize(
        {int8->values.slice(begin, end), int8->scales.slice(begin, end), int8->rotation},
        Dtype::kF32);
  }
  assert(weight.rows() != nullptr);
  const std::int64_t in = weight.rows()->shape()[1];
  Tensor rows = empty({end - begin, in});
  constexpr std::int64_t kGrain = 16;  // rows of a parallel task
  parallel_blocks(end - begin, kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      weight.rows()->decode(begin + i, 0, in, rows.data<float>() + i * in);
    }
  });
  return rows;
}

}  // namespace zimage
