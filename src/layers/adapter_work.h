// Arithmetic that adapters take beside the products with the weights themselves, in floating-point
// operations, two for a multiply-add.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/adapters.h"

namespace zimage {

struct AdapterWork {
  double product = 0;  // added to a product
  double gates = 0;    // of DoRA: the norms of the whole weight need all of the change
  double merging = 0;  // into the weight, each time that it is loaded
};

// Of the adapters of one module. rows: of x in a product; is_merged: as AdapterSet::merges() says;
// is_int8: the weight is multiplied in eight bits.
AdapterWork work_of(const std::vector<ModuleAdapter>& adapters, std::int64_t rows, bool is_merged,
                    bool is_int8);

}  // namespace zimage
