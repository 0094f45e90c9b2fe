#include "models/component_weights.h"

#include <cmath>
#include <map>

#include "core/check.h"
#include "io/printable.h"
#include "models/checkpoint_names.h"
#include "models/int8_tensors.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Canonical names of a component in a checkpoint of one or more files.
std::vector<TensorSource> sources_of(const std::set<std::string>& names,
                                     const std::string& component, const std::string& where) {
  ComponentLayout layout{.component = component, .prefix = ""};  // if need be, errors name tensors
  for (ComponentLayout& found : find_components(names, where)) {
    if (found.component == component) layout = std::move(found);
  }
  return canonical_names(names, layout).tensors;
}

std::string where_of(const Snapshot& snapshot, const std::string& component) {
  const fs::path& file = snapshot.weight_files(component).front();
  const fs::path folder = snapshot.root() / component;
  return file.parent_path() == folder ? folder.string() : file.string();
}

// Rows [part, part + 1) / parts.
Shape part_of(const Shape& shape, const TensorSource& source, const std::string& where) {
  if (source.parts == 1) return shape;
  check(shape.rank() > 0 && shape[0] % source.parts == 0, where, ": ", printable(source.stored),
        " is ", shape, ", expected a number of rows that ", source.parts, " divides");
  Shape part = shape;
  part[0] /= source.parts;
  return part;
}

Tensor part_of(const Tensor& tensor, const TensorSource& source, const std::string& where) {
  if (source.parts == 1) return tensor;
  const std::int64_t rows = part_of(tensor.shape(), source, where)[0];
  return tensor.slice(rows * source.part, rows * (source.part + 1));
}

// Pad tokens are [dim] in some checkpoints.
Shape with_two_axes(const std::string& name, const Shape& shape) {
  const bool is_pad = name == "x_pad_token" || name == "cap_pad_token";
  return is_pad && shape.rank() == 1 ? Shape{1, shape[0]} : shape;
}

float scale_value(const Tensor& scale, const std::string& name, const std::string& where) {
  check(scale.numel() == 1, where, ": ", printable(name), " is ", scale.shape(),
        ", expected one number; a scale for every row is not supported");
  const float value = ops::cast(scale, Dtype::kF32).data<float>()[0];
  check(std::isfinite(value), where, ": ", printable(name), " is ", value,
        ", expected a finite number");
  return value;
}

struct Found {
  Tensor tensor;
  std::string file;
};

}  // namespace

WeightMap load_weights(const Snapshot& snapshot, const std::string& component) {
  const std::string where = where_of(snapshot, component);
  WeightMap weights(where);
  std::map<std::string, Found> stored;
  std::set<std::string> names;
  for (const fs::path& path : snapshot.weight_files(component)) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const auto& [name, tensor] : file.tensors()) {
      const auto [it, is_new] = stored.try_emplace(name, Found{tensor, path.filename().string()});
      check(is_new, where, ": tensor ", printable(name), " is in ",
            printable(path.filename().string()), " and again in ", printable(it->second.file),
            "; a checkpoint holds each name once");
      names.insert(name);
    }
    weights.keep(file.file());
  }
  const auto tensor_of = [&](const std::string& name) {
    return name.empty() ? Tensor() : stored.at(name).tensor;
  };
  for (const TensorSource& source : sources_of(names, component, where)) {
    const auto& [tensor, file] = stored.at(source.stored);
    const Tensor scale = tensor_of(source.scale);
    const bool is_alone = source.scale.empty() && source.marker.empty();
    if (tensor.dtype() == Dtype::kI8 && !is_alone) {
      const auto matrix =
          int8_matrix({tensor, scale, tensor_of(source.marker), source.stored, where});
      weights.add_int8(source.name,
                       {part_of(matrix.values, source, where),
                        part_of(matrix.scales, source, where), matrix.rotation},
                       file);
      continue;
    }
    const Tensor part = part_of(tensor, source, where);
    weights.add(source.name, part.reshape(with_two_axes(source.name, part.shape())), file,
                scale.defined() ? scale_value(scale, source.scale, where) : 1);
  }
  return weights;
}

std::vector<StoredTensor> stored_tensors(const std::vector<fs::path>& files) {
  std::vector<StoredTensor> tensors;
  for (const fs::path& path : files) {
    const auto file = MappedFile::open(path);
    const SafetensorsHeader header =
        parse_safetensors_header(file->bytes(), file->bytes().size(), path.string());
    for (const auto& t : header.tensors) {
      const bool is_aligned = (header.data_begin + t.begin) % size_of(t.dtype) == 0;
      tensors.push_back({t.name, t.dtype, t.shape, is_aligned, false});
    }
  }
  return tensors;
}

std::vector<StoredTensor> stored_tensors(const Snapshot& snapshot, const std::string& component) {
  const std::string where = where_of(snapshot, component);
  std::map<std::string, StoredTensor> stored;
  std::set<std::string> names;
  for (StoredTensor& tensor : stored_tensors(snapshot.weight_files(component))) {
    names.insert(tensor.name);
    stored.insert({tensor.name, std::move(tensor)});
  }
  std::vector<StoredTensor> tensors;
  for (const TensorSource& source : sources_of(names, component, where)) {
    StoredTensor tensor = stored.at(source.stored);
    tensor.name = source.name;
    tensor.shape = part_of(tensor.shape, source, where);
    tensor.is_scaled = !source.scale.empty();
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace zimage
