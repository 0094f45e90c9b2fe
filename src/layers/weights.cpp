#include "layers/weights.h"

#include <sys/mman.h>

#include "core/check.h"
#include "core/dtype_kind.h"
#include "core/parallel.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

// Read-only zeros: the system maps one page of zeros for all of them.
Tensor zero_pages(const Shape& shape, Dtype dtype) {
  const std::size_t bytes =
      std::max<std::size_t>(1, static_cast<std::size_t>(shape.numel()) * size_of(dtype));
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(data != MAP_FAILED, "out of address space for ", bytes, " bytes");
  return {std::shared_ptr<std::byte>(static_cast<std::byte*>(data),
                                     [bytes](std::byte* p) { munmap(p, bytes); }),
          shape, dtype};
}

Tensor scaled(Tensor x, float scale) {
  Tensor y = ops::cast(x, Dtype::kF32);
  if (y.raw() == x.raw()) y = y.clone();
  float* values = y.data<float>();
  parallel_blocks(y.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) values[i] *= scale;
  });
  return y;
}

}  // namespace

void WeightMap::add_file(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [name, tensor] : file.tensors()) add(name, tensor, path.filename().string());
  files_.push_back(file.file());
}

void WeightMap::add(const std::string& name, Tensor tensor, const std::string& file, float scale) {
  const auto [it, is_new] = entries_.try_emplace(name, Entry{std::move(tensor), file, scale});
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
  const auto& [tensor, file, scale] = it->second;
  check(tensor.shape() == shape, where_, "/", printable(file), ": ", name, " is ", tensor.shape(),
        ", expected ", shape);
  taken_.insert(name);
  return tensor;
}

const Tensor* WeightMap::find(const std::string& name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second.tensor;
}

std::vector<std::string> WeightMap::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
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

Tensor WeightMap::surveyed(const std::string& name, const Shape& shape, Dtype dtype) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    survey_->missing.push_back(name);
  } else if (!(it->second.tensor.shape() == shape)) {
    survey_->mismatched.push_back({name, it->second.tensor.shape(), shape});
  }
  if (it != entries_.end() && !is_floating(it->second.tensor.dtype())) {
    survey_->unreadable.emplace_back(name, it->second.tensor.dtype());
  }
  taken_.insert(name);
  survey_->asked.emplace_back(name, shape);
  return zero_pages(shape, dtype);
}

Tensor WeightScope::as(std::string_view name, const Shape& shape, Dtype dtype) const {
  if (map_->survey() != nullptr) return map_->surveyed((*this / name).prefix_, shape, dtype);
  return ops::cast(stored(name, shape), dtype);
}

Tensor WeightScope::matrix(std::string_view name, const Shape& shape) const {
  return as(name, shape, compute_);
}

Tensor WeightScope::vector(std::string_view name, const Shape& shape) const {
  return as(name, shape, Dtype::kF32);
}

Tensor WeightScope::stored(std::string_view name, const Shape& shape) const {
  const std::string full_name = (*this / name).prefix_;
  if (map_->survey() != nullptr) return map_->surveyed(full_name, shape, Dtype::kF32);
  const Tensor tensor = map_->take(full_name, shape);
  check(is_floating(tensor.dtype()), map_->where(), ": tensor ", full_name, " is ", tensor.dtype(),
        ", expected floating-point numbers");
  const float scale = map_->entries_.find(full_name)->second.scale;
  return scale == 1 ? tensor : scaled(tensor, scale);
}

}  // namespace zimage
