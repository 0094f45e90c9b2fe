#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "layers/weights.h"

namespace zimage {

// The layers "0", "1", ... of a model. Those for which WeightMap::keep_layers() leaves room are
// built once. Every other one is built each time it is used and thrown away after, so that its
// weights leave memory, while those of the next are read from the disk. What a layer computes is
// the same in both cases. The map outlives a list of which not all layers stay.
template <class Layer>
class LayerList {
 public:
  using Build = std::function<Layer(const WeightScope& weights)>;

  // Throws Error naming a tensor that is missing or of another shape, whichever way its layer goes.
  LayerList(const WeightScope& weights, int count, Build build)
      : weights_(weights), build_(std::move(build)), kept_(static_cast<std::size_t>(count)) {
    for (int i = 0; i < count; ++i) {
      const WeightScope scope = scope_of(i);
      if (scope.claim_layer()) {
        kept_[static_cast<std::size_t>(i)].emplace(build_(scope));
      } else {
        (void)build_(scope.checking());
      }
    }
  }

  int size() const { return static_cast<int>(kept_.size()); }

  // The layer for as long as the pointer lives.
  std::shared_ptr<const Layer> operator[](int i) const {
    const std::optional<Layer>& kept = kept_[static_cast<std::size_t>(i)];
    if (kept) return {std::shared_ptr<void>(), &*kept};
    std::unique_ptr<const Layer> layer(new Layer(build_(scope_of(i))));
    read_ahead((i + 1) % size());
    return {layer.release(), [scope = scope_of(i)](const Layer* used) {
              delete used;
              scope.release_pages();
            }};
  }

 private:
  WeightScope scope_of(int i) const { return weights_ / std::to_string(i); }
  void read_ahead(int i) const {
    if (!kept_[static_cast<std::size_t>(i)]) scope_of(i).read_ahead();
  }

  WeightScope weights_;
  Build build_;
  std::vector<std::optional<Layer>> kept_;
};

}  // namespace zimage
