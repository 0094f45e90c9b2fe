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

bool is_by_columns(const ModuleAdapter& adapter) {
  return adapter.magnitude.defined() && adapter.magnitude.rank() == 2;
}

// Decoded along with the weight.
bool is_decoded(const ModuleAdapter& adapter, bool is_int8) {
  return !is_int8 && !is_by_columns(adapter) && !adapter.delta->is_small();
}

// As AdaptedWeight does it. has_own: a magnitude of columns multiplies the weight once more.
double product_flop(const ModuleAdapter& adapter, std::int64_t rows, bool is_int8, bool has_own) {
  const WeightDelta& delta = *adapter.delta;
  if (is_decoded(adapter, is_int8)) {
    return static_cast<double>(ops::times_decoded(rows, delta.shape()[0])) * delta.decode_flop();
  }
  const ProductWork work = delta.product_work();
  const auto count = static_cast<double>(rows);
  const bool is_twice = has_own && is_by_columns(adapter);
  const double own = is_twice ? 2 * count * static_cast<double>(delta.shape().numel()) : 0;
  return own + count * work.per_row + static_cast<double>(count_parts(rows)) * work.decoding;
}

}  // namespace

AdapterWork work_of(const std::vector<ModuleAdapter>& adapters, std::int64_t rows, bool is_merged,
                    bool is_int8) {
  const bool has_own = std::any_of(adapters.begin(), adapters.end(), [&](const auto& a) {
    const bool is_by_rows = a.magnitude.defined() && !is_by_columns(a);
    return a.delta && (is_by_rows || is_decoded(a, is_int8));
  });
  AdapterWork sum;
  for (const ModuleAdapter& adapter : adapters) {
    if (!adapter.delta) continue;
    if (adapter.magnitude.defined()) sum.gates += adapter.delta->decode_flop();
    if (is_merged) {
      sum.merging += adapter.delta->decode_flop();
    } else {
      sum.product += product_flop(adapter, rows, is_int8, has_own);
    }
  }
  return sum;
}

}  // namespace zimage
