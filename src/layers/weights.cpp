#include "layers/weights.h"

#include "core/check.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

bool is_floating(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
    case Dtype::kBf16:
    case Dtype::kF16:
    case Dtype::kF64:
    case Dtype::kF8E4M3:
    case Dtype::kF8E5M2: return true;
    default: return false;
  }
}

}  // namespace

void WeightMap::add_file(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [name, tensor] : file.tensors()) add(name, tensor, path.filename().string());
  files_.push_back(file.file());
}

void WeightMap::add(const std::string& name, Tensor tensor, const std::string& file) {
  const auto [it, is_new] = entries_.try_emplace(name, Entry{std::move(tensor), file});
  check(is_new, where_, ": tensor ", printable(name), " is in ", printable(file), " and again in ",
        printable(it->second.file), "; a checkpoint holds each name once");
}

bool WeightMap::has(const std::string& name, const Shape& shape) const {
  const auto it = entries_.find(name);
  return it != entries_.end() && it->second.tensor.shape() == shape;
}

Tensor WeightMap::take(const std::string& name, const Shape& shape) const {
  const auto it = entries_.find(name);
  check(it != entries_.end(), where_, ": tensor ", name, " ", shape, " is missing; the files hold ",
        entries_.size(), " tensors");
  const auto& [tensor, file] = it->second;
  check(tensor.shape() == shape, where_, "/", printable(file), ": ", name, " is ", tensor.shape(),
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

void WeightMap::release_pages() const {
  for (const auto& file : files_) file->release_pages();
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

bool WeightScope::has(std::string_view name, const Shape& shape) const {
  return map_->has((*this / name).prefix_, shape);
}

Tensor WeightScope::matrix(std::string_view name, const Shape& shape) const {
  return ops::cast(stored(name, shape), compute_);
}

Tensor WeightScope::vector(std::string_view name, const Shape& shape) const {
  return ops::cast(stored(name, shape), Dtype::kF32);
}

Tensor WeightScope::stored(std::string_view name, const Shape& shape) const {
  const std::string full_name = (*this / name).prefix_;
  const Tensor tensor = map_->take(full_name, shape);
  check(is_floating(tensor.dtype()), map_->where(), ": tensor ", full_name, " is ", tensor.dtype(),
        ", expected floating-point numbers");
  return tensor;
}

}  // namespace zimage
