#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "layers/weights.h"
#include "ops/mlx.h"

namespace zimage {

// Whether MLX's loaders expect this weight in groups: a matrix of a transformer, a text encoder or
// a control network that is neither a norm nor part of an embedder or of the final layer.
bool is_mlx_weight(const std::string& name, const Shape& shape, const ops::MlxFormat& format);

// A weight that is written in groups.
struct MlxLayer {
  std::string name;  // without ".weight"
  Shape shape;       // [out, in]
  std::string file;  // that holds its words
};

// Writes a component as MLX's loaders expect it: model.safetensors, or shards with an index, where
// X.weight becomes X.weight, X.scales and X.biases. All else stays as it is. Memory: one weight at
// a time.
class MlxWriter {
 public:
  // All weights have to be plain numbers. A shard has no more than max_bytes unless a single tensor
  // has.
  MlxWriter(const WeightMap& weights, const ops::MlxFormat& format, std::uint64_t max_bytes);

  int tensors() const { return static_cast<int>(sources_.size()); }
  std::uint64_t bytes() const;  // that it will write, with some room for headers
  std::vector<MlxLayer> layers() const;

  // on_tensor(name, is_in_groups) before each tensor of the source, in no order. Throws Error for a
  // weight that is not finite.
  void write(const std::filesystem::path& folder,
             const std::function<void(const std::string&, bool)>& on_tensor);

 private:
  struct Part {
    SafetensorsWriter::Entry entry;
    std::string source;  // the tensor that it comes from
    enum class Kind { kPlain, kWords, kScales, kBiases } kind = Kind::kPlain;

    std::uint64_t bytes() const;
  };
  using Shard = std::vector<Part>;

  std::vector<Part> parts_of(const std::string& name) const;
  void plan(std::uint64_t max_bytes);
  std::string file_name(std::size_t shard) const;
  void write_shard(const Shard& shard, const std::filesystem::path& path,
                   const std::function<void(const std::string&, bool)>& on_tensor);
  void write_index(const std::filesystem::path& path) const;
  Tensor tensor_of(const Part& part);
  void quantize(const std::string& name);

  const WeightMap& weights_;
  ops::MlxFormat format_;
  std::vector<std::string> sources_;
  std::vector<Shard> shards_;
  std::string current_name_;  // of what current_ was made of
  ops::MlxMatrix current_;
};

}  // namespace zimage
