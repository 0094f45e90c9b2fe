#include "layers/adapter_work.h"

#include <algorithm>

#include "layers/adapted_weight.h"

namespace zimage {
namespace {

// How often a change that is no part of the weight is multiplied: once for a few rows of a strip.
std::int64_t count_parts(std::int64_t rows) {
  std::int64_t parts = 0;
  for (std::int64_t begin = 0; begin < rows; begin += kAdaptedStripRows) {
    parts += (std::min(kAdaptedStripRows, rows - begin) + kDeltaRows - 1) / kDeltaRows;
  }
  return parts;
}

// As AdaptedWeight does it.
double product_flop(const ModuleAdapter& adapter, std::int64_t rows, bool is_int8) {
  const WeightDelta& delta = *adapter.delta;
  const bool by_columns = adapter.magnitude.defined() && adapter.magnitude.rank() == 2;
  if (!by_columns && !delta.is_small() && !is_int8) {  // decoded along with the weight
    return static_cast<double>(ops::times_decoded(rows)) * delta.decode_flop();
  }
  const ProductWork work = delta.product_work();
  const auto count = static_cast<double>(rows);
  const double own = by_columns ? 2 * count * static_cast<double>(delta.shape().numel()) : 0;
  return own + count * work.per_row + static_cast<double>(count_parts(rows)) * work.decoding;
}

}  // namespace

AdapterWork work_of(const std::vector<ModuleAdapter>& adapters, std::int64_t rows, bool is_merged,
                    bool is_int8) {
  AdapterWork sum;
  for (const ModuleAdapter& adapter : adapters) {
    if (!adapter.delta) continue;
    if (adapter.magnitude.defined()) sum.gates += adapter.delta->decode_flop();
    if (is_merged) {
      sum.merging += adapter.delta->decode_flop();
    } else {
      sum.product += product_flop(adapter, rows, is_int8);
    }
  }
  return sum;
}

}  // namespace zimage
