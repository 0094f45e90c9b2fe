#include "pipeline/mlx_writer.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "core/check.h"
#include "io/file.h"
#include "io/printable.h"
#include "layers/module_name.h"
#include "ops/elementwise.h"
#include "pipeline/quantizable.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHeaderBytes = 1 << 20;

bool is_affine(const ops::MlxFormat& format) {
  return format.mode == ops::MlxFormat::Mode::kAffine;
}

// Tensors whose bytes would leave the next one unaligned come last.
int alignment_class(std::uint64_t bytes) { return bytes % 4 == 0 ? 0 : bytes % 2 == 0 ? 1 : 2; }

}  // namespace

bool is_mlx_weight(const std::string& name, const Shape& shape, const ops::MlxFormat& format) {
  const auto has = [&](std::string_view part) { return name.find(part) != name.npos; };
  return is_weight(name) && shape.rank() == 2 && shape[0] > 0 && shape[1] > 0 &&
         shape[1] % format.group_size == 0 && !has("embed") && !has("norm") &&
         !has("all_final_layer");
}

std::uint64_t MlxWriter::Part::bytes() const {
  return static_cast<std::uint64_t>(entry.shape.numel()) * size_of(entry.dtype);
}

MlxWriter::MlxWriter(const WeightMap& weights, const ops::MlxFormat& format,
                     std::uint64_t max_bytes)
    : weights_(weights), format_(format), sources_(weights.names()) {
  plan(max_bytes);
}

std::vector<MlxWriter::Part> MlxWriter::parts_of(const std::string& name) const {
  const Shape shape = *weights_.shape_of(name);
  std::vector<Part> parts;
  const auto add = [&](const std::string& part, Dtype dtype, const Shape& its_shape,
                       Part::Kind kind) {
    parts.push_back(Part{.entry = {part, dtype, its_shape}, .source = name, .kind = kind});
  };
  if (!is_mlx_weight(name, shape, format_)) {
    const Tensor kept = WeightScope(weights_, Dtype::kF32).checking().stored(name, shape);
    add(name, kept.dtype(), shape, Part::Kind::kPlain);
    return parts;
  }
  const std::string module = module_of(name);
  const Shape groups{shape[0], shape[1] / format_.group_size};
  const Dtype scale = is_affine(format_) ? Dtype::kF32 : Dtype::kU8;
  add(name, Dtype::kU32, {shape[0], shape[1] * format_.bits / 32}, Part::Kind::kWords);
  add(module + ".scales", scale, groups, Part::Kind::kScales);
  if (is_affine(format_)) add(module + ".biases", scale, groups, Part::Kind::kBiases);
  return parts;
}

// Names in order over all shards.
void MlxWriter::plan(std::uint64_t max_bytes) {
  std::vector<Part> parts;
  for (const std::string& name : sources_) {
    for (Part& part : parts_of(name)) parts.push_back(std::move(part));
  }
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.entry.name < b.entry.name; });
  std::uint64_t bytes = 0;
  for (Part& part : parts) {
    if (shards_.empty() || (bytes > 0 && bytes + part.bytes() > max_bytes)) {
      shards_.emplace_back();
      bytes = 0;
    }
    bytes += part.bytes();
    shards_.back().push_back(std::move(part));
  }
  for (Shard& shard : shards_) {
    std::stable_sort(shard.begin(), shard.end(), [](const Part& a, const Part& b) {
      return alignment_class(a.bytes()) < alignment_class(b.bytes());
    });
  }
}

std::uint64_t MlxWriter::bytes() const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) {
    sum += kHeaderBytes;
    for (const Part& part : shard) sum += part.bytes();
  }
  return sum;
}

std::string MlxWriter::file_name(std::size_t shard) const {
  if (shards_.size() == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, shards_.size());
  return name;
}

std::vector<MlxLayer> MlxWriter::layers() const {
  std::vector<MlxLayer> layers;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    for (const Part& part : shards_[i]) {
      if (part.kind != Part::Kind::kWords) continue;
      layers.push_back({module_of(part.source), *weights_.shape_of(part.source), file_name(i)});
    }
  }
  std::sort(layers.begin(), layers.end(),
            [](const MlxLayer& a, const MlxLayer& b) { return a.name < b.name; });
  return layers;
}

void MlxWriter::write(const fs::path& folder,
                      const std::function<void(const std::string&, bool)>& on_tensor) {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    write_shard(shards_[i], folder / file_name(i), on_tensor);
  }
  if (shards_.size() > 1) write_index(folder / "model.safetensors.index.json");
}

void MlxWriter::write_shard(const Shard& shard, const fs::path& path,
                            const std::function<void(const std::string&, bool)>& on_tensor) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const Part& part : shard) entries.push_back(part.entry);
  SafetensorsWriter file(path, std::move(entries), {{"format", "mlx"}});
  for (const Part& part : shard) {
    const bool is_plain = part.kind == Part::Kind::kPlain;
    if (is_plain || part.kind == Part::Kind::kWords) on_tensor(part.source, !is_plain);
    file.write(tensor_of(part));
    (WeightScope(weights_, Dtype::kF32) / module_of(part.source)).release_pages();
  }
  weights_.check_intact();
  file.commit();
}

void MlxWriter::write_index(const fs::path& path) const {
  std::uint64_t bytes = 0;
  nlohmann::json map;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    for (const Part& part : shards_[i]) {
      map[part.entry.name] = file_name(i);
      bytes += part.bytes();
    }
  }
  const std::string text =
      nlohmann::json{{"metadata", {{"total_size", bytes}}}, {"weight_map", map}}.dump(2) + "\n";
  write_file(path, std::as_bytes(std::span(text)));
}

Tensor MlxWriter::tensor_of(const Part& part) {
  const Shape& shape = *weights_.shape_of(part.source);
  if (part.kind == Part::Kind::kPlain) {
    const Tensor values = WeightScope(weights_, Dtype::kF32).stored(part.source, shape);
    const bool can_tell = values.dtype() == Dtype::kF32 || values.dtype() == Dtype::kBf16;
    check(!can_tell || ops::all_finite(values), weights_.where(), ": ", printable(part.source),
          " holds values that are not finite");
    return values;
  }
  quantize(part.source);
  switch (part.kind) {
    case Part::Kind::kWords: return current_.words;
    case Part::Kind::kScales: return current_.scales;
    default: return current_.biases;
  }
}

void MlxWriter::quantize(const std::string& name) {
  if (current_name_ == name) return;
  const Shape& shape = *weights_.shape_of(name);
  current_ = ops::quantize_mlx(WeightScope(weights_, Dtype::kF32).matrix(name, shape), format_);
  current_name_ = name;
  check_finite(current_.scales, name, weights_.where());
}

}  // namespace zimage
