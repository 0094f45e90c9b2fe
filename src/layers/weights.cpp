#include "layers/weights.h"

#include "core/check.h"
#include "io/safetensors.h"
#include "ops/elementwise.h"

namespace zimage {

void WeightMap::add_file(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [name, tensor] : file.tensors()) add(name, tensor, path.filename().string());
  files_.push_back(file.file());
}

void WeightMap::add(const std::string& name, Tensor tensor, std::string file) {
  const auto it = entries_.find(name);
  check(it == entries_.end(), where_, ": tensor ", name, " is in ", file, " and again in ",
        it == entries_.end() ? "" : it->second.file, "; a checkpoint holds each name once");
  entries_.emplace(name, Entry{std::move(tensor), std::move(file)});
}

Tensor WeightMap::take(const std::string& name, const Shape& shape) const {
  const auto it = entries_.find(name);
  check(it != entries_.end(), where_, ": tensor ", name, " ", shape,
        " is missing; the files hold ", entries_.size(), " tensors");
  const auto& [tensor, file] = it->second;
  check(tensor.shape() == shape, where_, "/", file, ": ", name, " is ", tensor.shape(),
        ", expected ", shape);
  taken_.insert(name);
  return tensor;
}

std::vector<std::string> WeightMap::untaken() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (!taken_.contains(name)) names.push_back(name);
  }
  return names;
}

void WeightMap::check_intact() const {
  for (const auto& file : files_) file->check_intact();
}

std::uint64_t WeightMap::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, entry] : entries_) sum += entry.tensor.bytes();
  return sum;
}

WeightScope WeightScope::operator/(std::string_view name) const {
  return {*map_, compute_, prefix_.empty() ? std::string(name) : str(prefix_, ".", name)};
}

bool WeightScope::has(std::string_view name) const { return map_->has((*this / name).prefix_); }

Tensor WeightScope::matrix(std::string_view name, const Shape& shape) const {
  return ops::cast(map_->take((*this / name).prefix_, shape), compute_);
}

Tensor WeightScope::vector(std::string_view name, const Shape& shape) const {
  return ops::cast(map_->take((*this / name).prefix_, shape), Dtype::kF32);
}

}  // namespace zimage
