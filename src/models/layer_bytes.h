#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/component_weights.h"

namespace zimage {

// What the weights of a component take in memory.
struct LayerBytes {
  std::uint64_t fixed = 0;            // all that belongs to no layer
  std::vector<std::uint64_t> layers;  // of each layer, in the order in which they are made
  std::uint64_t converted = 0;        // of all these, what is not used in place

  std::uint64_t total() const;
  std::uint64_t largest() const;  // layer
};

// adapters: of the component's modules; may be null. lists: the names of the component's LayerLists
// ("layers", ...) in the order in which they are made. Tensors that are not loaded are left out
// before.
LayerBytes layer_bytes(const std::vector<StoredTensor>& tensors,
                       const std::vector<std::string_view>& lists, Dtype compute,
                       const Int8Policy& int8 = {}, const AdapterSet* adapters = nullptr);

}  // namespace zimage
