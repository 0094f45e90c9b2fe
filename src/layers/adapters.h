// Adapters (LoRA and its kin) at work on the weights of a model, which stay as they are: a product
// with an adapted weight is the weight's own product and what the adapters add to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "layers/weight_delta.h"
#include "layers/weight_matrix.h"

namespace zimage {

// The gates of a DoRA, from its whole weight: computed once, however often the layer is loaded.
class GateCache {
 public:
  // What compute() returned first; one that throws is called again.
  Tensor get(const std::function<Tensor()>& compute) {
    std::call_once(once_, [&] { gates_ = compute(); });
    return gates_;
  }

 private:
  std::once_flag once_;
  Tensor gates_;
};

// What one adapter does to one module. The weight W becomes W + scale * factor * delta, the bias b
// becomes b + scale * bias. With a magnitude m (DoRA), W' = (W + factor * delta) scaled so that its
// rows (or its columns) have the norms m, and the weight becomes W + scale * (W' - W).
struct ModuleAdapter {
  WeightDeltaPtr delta;   // [out, in]; null: the weight stays
  float factor = 1;       // alpha / rank and what else belongs to the delta
  float scale = 1;        // the user's
  Tensor magnitude = {};  // undefined, [out] for the rows or [1, in] for the columns
  Tensor bias = {};       // undefined or [out]
  // Of a module with a vector for its weight (a norm): added to it, times scale.
  Tensor vector = {};
  std::shared_ptr<GateCache> gates = nullptr;  // null: computed each time

  std::vector<Tensor> tensors() const;
};

// All that is to be done to a model's modules, by their names ("layers.0.attention.to_q").
// Immutable once it is given to a WeightMap, and from then on for maps of the same weights in the
// same formats alone: it keeps what was computed from them.
class AdapterSet {
 public:
  // is_merged: weights are changed while they are loaded, which takes a copy of each, instead of
  // the products.
  explicit AdapterSet(bool is_merged = false) : is_merged_(is_merged) {}

  void add(const std::string& module, ModuleAdapter adapter);
  // A file that tensors are views of, to be watched and released.
  void keep(std::shared_ptr<const MappedFile> file) { files_.push_back(std::move(file)); }

  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }

  bool empty() const { return modules_.empty(); }
  bool is_merged() const { return is_merged_; }
  // Empty where there are none.
  const std::vector<ModuleAdapter>& of(const std::string& module) const;
  const std::map<std::string, std::vector<ModuleAdapter>>& modules() const { return modules_; }
  // Whether the weight of the module becomes another matrix while it is loaded.
  bool merges(const std::string& module) const;
  // What the adapters of the module hold for products in `compute`; nothing where they are merged.
  std::uint64_t resident_bytes(const std::string& module, Dtype compute) const;

  void release_pages() const;
  void release_pages(const std::string& module) const;
  // Of the module's tensors that compute in another dtype, from copies.
  void release_converted(const std::string& module, Dtype compute) const;
  void check_intact() const;  // throws Error once a file was changed under us

 private:
  void release_pages(const Tensor& tensor) const;

  bool is_merged_;
  std::map<std::string, std::vector<ModuleAdapter>> modules_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
};

// Rows of x whose product with an adapted weight lies in memory in f32 before it is rounded: many
// enough that reading the weights again for the next ones costs little.
inline constexpr std::int64_t kAdaptedStripRows = 2304;

// A weight with its adapters. compute: the dtype of x. Throws Error naming `where` for a magnitude
// of rows that are zero.
WeightMatrix adapted(WeightMatrix weight, const std::vector<ModuleAdapter>& adapters,
                     const Shape& shape, Dtype compute, const std::string& where);

// The weight as the adapters make it, [out, in] of `dtype` (f32 or bf16); biases are left out.
Tensor merged(const WeightMatrix& weight, const std::vector<ModuleAdapter>& adapters,
              const Shape& shape, Dtype dtype, const std::string& where);

// A weight whose adapters are merged into it, with the biases that they add.
WeightMatrix with_biases(WeightMatrix merged, const std::vector<ModuleAdapter>& adapters,
                         std::int64_t out);

// The sum of x, f32, and the vectors of the adapters.
Tensor with_vectors(const Tensor& x, const std::vector<ModuleAdapter>& adapters);

}  // namespace zimage
