#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "io/mapped_file.h"
#include "layers/adapters.h"
#include "layers/weight_matrix.h"

namespace zimage {

// Memory that a weight takes once it is loaded for products in `compute`: the pages of its file
// where it is used in place, else its copy. is_scaled: a factor multiplies it.
std::uint64_t resident_weight_bytes(const Shape& shape, Dtype stored, bool is_scaled,
                                    Dtype compute);

// The same for an ops::Int8Matrix; is_stored: the file has it so.
std::uint64_t resident_int8_bytes(const Shape& shape, bool is_stored);

// The same for a weight that adapters are merged into.
std::uint64_t resident_merged_bytes(const Shape& shape, Dtype compute);

// Which weights of products are multiplied in eight bits (ops/int8.h).
struct Int8Policy {
  bool uses_stored = false;  // those that the file has so; else they go to the compute dtype
  // Of others, by their names: whether they are quantised on loading. Empty: none is.
  std::function<bool(const std::string& name)> quantizes = {};

  bool applies_to(const std::string& name, const Shape& shape) const {
    return quantizes && shape.rank() == 2 && shape[1] % 4 == 0 && quantizes(name);
  }
  // Whether it is multiplied in eight bits in the end; is_stored: the file has it so.
  bool multiplies(const std::string& name, const Shape& shape, bool is_stored) const {
    return is_stored ? uses_stored : applies_to(name, shape);
  }
};

// What a model asked a checkpoint for in vain, and what it did not ask for.
struct WeightSurvey {
  struct Mismatch {
    std::string name;
    Shape found, expected;
    std::string file;
  };
  struct Unreadable {
    std::string name, type;
    std::string fault;  // the whole message; empty where the type is no floating-point one
  };
  std::vector<std::string> missing, surplus;
  std::vector<Mismatch> mismatched;
  std::vector<Unreadable> unreadable;
  std::vector<std::pair<std::string, Shape>> asked;  // all that the model asked for

  // Throws Error for the first that is missing, of another shape, unreadable or surplus.
  void check(const std::string& where) const;
};

// The tensors of one component (transformer, text_encoder, vae), from one file or several shards.
// One thread at a time: it notes what was taken.
class WeightMap {
 public:
  // `where` names the component in messages.
  explicit WeightMap(std::string where) : where_(std::move(where)) {}

  // Each tensor name must be new: throws Error naming the one that was there already.
  void add_file(const std::filesystem::path& path);  // all tensors of a .safetensors file
  // `scale` multiplies the tensor where it is used (8-bit floats with a factor of their own).
  void add(const std::string& name, Tensor tensor, const std::string& file = "memory",
           float scale = 1);
  // Rows in eight bits, as ops::Int8Matrix has them.
  void add_int8(const std::string& name, ops::Int8Matrix matrix,
                const std::string& file = "memory");
  // Weights in a format of their own: products decode them where they are multiplied, all else as a
  // whole.
  void add_rows(const std::string& name, std::shared_ptr<const ops::WeightRows> rows,
                const std::string& file = "memory");
  // Weights in a format that cannot be read: a layer that asks for them gets the Error `fault`.
  struct Unreadable {
    Shape shape;
    std::string type, fault;
  };
  void add_unreadable(const std::string& name, Unreadable weight,
                      const std::string& file = "memory");
  // A file whose tensors were added one by one, to be watched and released.
  void keep(std::shared_ptr<const MappedFile> file) { files_.push_back(std::move(file)); }

  void set_int8(Int8Policy policy) { int8_ = std::move(policy); }
  // From now on layers get their weights with these adapters, whatever format they have. The
  // modules are of this map and the shapes fit.
  void set_adapters(std::shared_ptr<const AdapterSet> adapters) { adapters_ = std::move(adapters); }

  // From now on nothing that is missing or of another shape throws: it is noted in `survey`, and
  // zeros stand for every tensor. A model built on such a map can only be thrown away.
  void begin_survey(WeightSurvey& survey) { survey_ = &survey; }
  WeightSurvey* survey() const { return survey_; }

  const std::string& where() const { return where_; }
  bool has(const std::string& name) const { return entries_.contains(name); }
  bool has(const std::string& name, const Shape& shape) const;
  // To tell what a checkpoint is: the tensor does not count as taken. Null when there is none;
  // find() gives the numbers as the file has them, and null for WeightRows and what cannot be read.
  const Tensor* find(const std::string& name) const;
  const Shape* shape_of(const std::string& name) const;
  std::vector<std::string> names() const;  // of all tensors, sorted
  // Throws Error naming the component and tensor when it is missing or has another shape. Not for
  // WeightRows.
  Tensor take(const std::string& name, const Shape& shape) const;
  std::vector<std::string> untaken() const;  // names no layer has asked for, sorted
  void check_intact() const;                 // throws Error once a mapped file was changed under us
  // The layers of a LayerList stay in memory, in the order in which they are first built, while
  // they have no more than this together; at first all do.
  void keep_layers(std::uint64_t bytes) { layer_bytes_ = bytes; }
  // The pages of the mapped files no longer count as memory in use. Tensors that are views stay
  // valid and are read again on use.
  void release_pages() const;
  std::uint64_t bytes() const;  // of all tensors

 private:
  friend class WeightScope;
  struct Entry {
    std::string file;
    Tensor tensor = {};  // plain numbers, or the values of an Int8Matrix
    float scale = 1;
    Tensor row_scales = {};  // of an Int8Matrix, with its rotation
    int rotation = 1;
    std::shared_ptr<const ops::WeightRows> rows = nullptr;   // in place of all the others
    std::shared_ptr<const Unreadable> unreadable = nullptr;  // the same

    bool is_int8() const { return row_scales.defined(); }
    ops::Int8Matrix int8() const { return {tensor, row_scales, rotation}; }
    const Shape& shape() const {
      return rows ? rows->shape() : unreadable ? unreadable->shape : tensor.shape();
    }
    bool is_number() const;  // of any format that can be converted
    std::string type() const;
    std::vector<Tensor> tensors() const;
  };
  using Entries = std::map<std::string, Entry>;

  // The file that the tensor is a view of, or null.
  const MappedFile* file_of(const Tensor& tensor) const;
  void release_pages(const Entry& entry) const;
  void add(const std::string& name, const Entry& entry);
  // Notes that it was taken.
  const Entry& entry(const std::string& name, const Shape& shape) const;
  // Notes what is wrong with the tensor; zeros that take no memory.
  Tensor surveyed(const std::string& name, const Shape& shape, Dtype dtype) const;
  std::string where_;
  Entries entries_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  mutable std::set<std::string> taken_;
  mutable std::uint64_t layer_bytes_ = std::numeric_limits<std::uint64_t>::max();
  // Those of the module that a tensor is the weight of; empty without any.
  const std::vector<ModuleAdapter>& adapters_of(const std::string& name) const;

  WeightSurvey* survey_ = nullptr;
  Int8Policy int8_;
  std::shared_ptr<const AdapterSet> adapters_;
};

// A place in the checkpoint's tree of names, and the dtype that matmul weights get there. The map
// outlives it.
class WeightScope {
 public:
  WeightScope(const WeightMap& map, Dtype compute, std::string prefix = "")
      : map_(&map), compute_(compute), prefix_(std::move(prefix)) {}

  WeightScope operator/(std::string_view name) const;  // "layers" / "0" -> "layers.0"
  Dtype compute() const { return compute_; }
  bool has(std::string_view name) const;
  bool has(std::string_view name, const Shape& shape) const;
  // As the map's Int8Policy says, else as matrix(); with the map's adapters.
  WeightMatrix product_weight(std::string_view name, const Shape& shape) const;
  // In the compute dtype: a view of the mapped file where it already has that dtype, else
  // converted.
  Tensor matrix(std::string_view name, const Shape& shape) const;
  // In f32: norms, biases and other small tensors.
  Tensor vector(std::string_view name, const Shape& shape) const;
  // In the floating-point dtype of the file; other formats in the compute dtype.
  Tensor stored(std::string_view name, const Shape& shape) const;
  // In the format of the file, for a table of which few rows are read.
  WeightMatrix table(std::string_view name, const Shape& shape) const;

  // The same place, where every tensor is found and checked and zeros that take no memory stand for
  // it.
  WeightScope checking() const;
  // Memory that all tensors here take once they are loaded.
  std::uint64_t resident_bytes() const;
  // Whether a layer that lies here may stay in memory (WeightMap::keep_layers).
  bool claim_layer() const;
  void release_pages() const;  // of all tensors here, as WeightMap::release_pages()
  void read_ahead() const;     // starts to read them from the disk

 private:
  template <class Visitor>
  void visit(Visitor&& visitor) const;  // every entry here
  const WeightMap::Entry& found(const std::string& full_name, const Shape& shape) const;
  Tensor as(std::string_view name, const Shape& shape, Dtype dtype) const;
  WeightMatrix plain_weight(const std::string& name, const Shape& shape) const;
  WeightMatrix merged_weight(const std::string& name, const Shape& shape) const;

  const WeightMap* map_;
  Dtype compute_;
  std::string prefix_;
  bool is_checking_ = false;
};

}  // namespace zimage
