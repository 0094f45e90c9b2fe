#include "layers/weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>

#include "core/allocator.h"
#include "core/check.h"
#include "core/dtype_kind.h"
#include "core/parallel.h"
#include "io/printable.h"
#include "io/safetensors.h"
#include "layers/module_name.h"
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

bool is_matrix(const Shape& shape) { return shape.rank() > 1; }

// x times a factor, in f32 and then in `dtype`. Block by block: a whole tensor in f32 would be more
// memory than all else that loading takes.
Tensor scaled(const Tensor& x, float scale, Dtype dtype) {
  Tensor y = empty(x.shape(), dtype);
  const Tensor flat = x.reshape({x.numel()});
  parallel_blocks(x.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    Tensor block = ops::cast(flat.slice(begin, end), Dtype::kF32);
    if (block.raw() == flat.slice(begin, end).raw()) block = block.clone();
    for (float& value : std::span(block.data<float>(), end - begin)) value *= scale;
    const Tensor result = ops::cast(block, dtype);
    std::memcpy(y.raw() + begin * static_cast<std::int64_t>(size_of(dtype)), result.raw(),
                result.bytes());
  });
  return y;
}

// Entries are as WeightMap has them.
template <class Entry>
Tensor converted(const Entry& entry, Dtype dtype) {
  if (entry.rows) return ops::decoded(*entry.rows, dtype);
  if (entry.is_int8()) return ops::dequantize(entry.int8(), dtype);
  return entry.scale == 1 ? ops::cast(entry.tensor, dtype)
                          : scaled(entry.tensor, entry.scale, dtype);
}

}  // namespace

void WeightSurvey::check(const std::string& where) const {
  for (const std::string& name : missing) {
    throw Error(
        str(where, ": tensor ", name, " is missing, as are ", missing.size() - 1, " others"));
  }
  for (const auto& [name, found, expected, file] : mismatched) {
    throw Error(
        str(file.empty() ? where : file, ": ", name, " is ", found, ", expected ", expected));
  }
  for (const auto& [name, type, fault] : unreadable) {
    if (!fault.empty()) throw Error(fault);
    throw Error(str(where, ": ", name, " is ", type, ", expected floating-point numbers"));
  }
  for (const std::string& name : surplus) {
    throw Error(str(where, ": ", surplus.size(),
                    " tensors are not part of the network: ", printable(name), ", ..."));
  }
}

std::uint64_t resident_weight_bytes(const Shape& shape, Dtype stored, bool is_scaled,
                                    Dtype compute) {
  const Dtype used = is_matrix(shape) ? compute : Dtype::kF32;
  const std::size_t bytes = static_cast<std::size_t>(shape.numel()) * size_of(used);
  return stored == used && !is_scaled ? bytes : allocator::rounded(bytes);
}

std::uint64_t resident_merged_bytes(const Shape& shape, Dtype compute) {
  return allocator::rounded(static_cast<std::size_t>(shape.numel()) * size_of(compute));
}

std::uint64_t resident_int8_bytes(const Shape& shape, bool is_stored) {
  const auto bytes = static_cast<std::size_t>(shape.numel());
  const auto scales = static_cast<std::size_t>(shape[0]) * sizeof(float);
  return is_stored ? bytes + scales : allocator::rounded(bytes) + allocator::rounded(scales);
}

void WeightMap::add_file(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const auto& [name, tensor] : file.tensors()) add(name, tensor, path.filename().string());
  files_.push_back(file.file());
}

void WeightMap::add(const std::string& name, Tensor tensor, const std::string& file, float scale) {
  add(name, Entry{.file = file, .tensor = std::move(tensor), .scale = scale});
}

void WeightMap::add_int8(const std::string& name, ops::Int8Matrix matrix, const std::string& file) {
  add(name, Entry{.file = file,
                  .tensor = std::move(matrix.values),
                  .row_scales = std::move(matrix.scales),
                  .rotation = matrix.rotation});
}

void WeightMap::add_rows(const std::string& name, std::shared_ptr<const ops::WeightRows> rows,
                         const std::string& file) {
  add(name, Entry{.file = file, .rows = std::move(rows)});
}

void WeightMap::add_unreadable(const std::string& name, Unreadable weight,
                               const std::string& file) {
  add(name, Entry{.file = file, .unreadable = std::make_shared<Unreadable>(std::move(weight))});
}

void WeightMap::add(const std::string& name, const Entry& entry) {
  const auto [it, is_new] = entries_.try_emplace(name, entry);
  check(is_new, where_, ": tensor ", printable(name), " is in ", printable(entry.file),
        " and again in ", printable(it->second.file), "; a checkpoint holds each name once");
}

bool WeightMap::Entry::is_number() const {
  if (unreadable) return false;
  return rows != nullptr || is_int8() || is_floating(tensor.dtype());
}

std::string WeightMap::Entry::type() const {
  return unreadable ? unreadable->type : std::string(name_of(tensor.dtype()));
}

std::vector<Tensor> WeightMap::Entry::tensors() const {
  if (unreadable) return {};
  return rows ? rows->tensors() : std::vector{tensor};
}

bool WeightMap::has(const std::string& name, const Shape& shape) const {
  const auto it = entries_.find(name);
  return it != entries_.end() && it->second.shape() == shape;
}

Tensor WeightMap::take(const std::string& name, const Shape& shape) const {
  return entry(name, shape).tensor;
}

const WeightMap::Entry& WeightMap::entry(const std::string& name, const Shape& shape) const {
  const auto it = entries_.find(name);
  check(it != entries_.end(), where_, ": tensor ", name, " ", shape, " is missing; the files hold ",
        entries_.size(), " tensors");
  const Entry& entry = it->second;
  check(entry.shape() == shape, where_, "/", printable(entry.file), ": ", name, " is ",
        entry.shape(), ", expected ", shape);
  if (entry.unreadable) throw Error(entry.unreadable->fault);
  taken_.insert(name);
  return entry;
}

const Tensor* WeightMap::find(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.rows || it->second.unreadable) return nullptr;
  return &it->second.tensor;
}

const Shape* WeightMap::shape_of(const std::string& name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second.shape();
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
  if (adapters_) adapters_->check_intact();
}

void WeightMap::release_pages() const {
  for (const auto& file : files_) file->release_pages();
  if (adapters_) adapters_->release_pages();
}

const std::vector<ModuleAdapter>& WeightMap::adapters_of(const std::string& name) const {
  static const std::vector<ModuleAdapter> kNone;
  return adapters_ && is_weight(name) ? adapters_->of(module_of(name)) : kNone;
}

const MappedFile* WeightMap::file_of(const Tensor& tensor) const {
  const std::less_equal<> before;
  for (const auto& file : files_) {
    const auto bytes = file->bytes();
    if (before(bytes.data(), tensor.raw()) &&
        before(tensor.raw() + tensor.bytes(), bytes.data() + bytes.size())) {
      return file.get();
    }
  }
  return nullptr;
}

void WeightMap::release_pages(const Entry& entry) const {
  for (const Tensor& tensor : entry.tensors()) {
    const MappedFile* const file = file_of(tensor);
    if (file != nullptr) file->release_pages({tensor.raw(), tensor.bytes()});
  }
}

std::uint64_t WeightMap::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, entry] : entries_) {
    for (const Tensor& tensor : entry.tensors()) sum += tensor.bytes();
  }
  return sum;
}

WeightScope WeightScope::operator/(std::string_view name) const {
  WeightScope scope = *this;
  scope.prefix_ = prefix_.empty() ? std::string(name) : str(prefix_, ".", name);
  return scope;
}

WeightScope WeightScope::checking() const {
  WeightScope scope = *this;
  scope.is_checking_ = true;
  return scope;
}

template <class Visitor>
void WeightScope::visit(Visitor&& visitor) const {
  const auto& entries = map_->entries_;
  const std::string prefix = prefix_.empty() ? "" : prefix_ + ".";
  for (auto it = entries.lower_bound(prefix); it != entries.end(); ++it) {
    if (!it->first.starts_with(prefix)) return;
    visitor(it->first, it->second);
  }
}

std::uint64_t WeightScope::resident_bytes() const {
  std::uint64_t sum = 0;
  visit([&](const std::string& name, const WeightMap::Entry& entry) {
    if (entry.unreadable) return;
    const Shape& shape = entry.shape();
    const bool has_adapters = !map_->adapters_of(name).empty();
    const bool is_merged = has_adapters && map_->adapters_->merges(module_of(name));
    if (has_adapters) sum += map_->adapters_->resident_bytes(module_of(name), compute_);
    if (map_->int8_.multiplies(name, shape, entry.is_int8())) {
      sum += resident_int8_bytes(shape, entry.is_int8() && !is_merged);
    } else if (is_merged) {
      sum += resident_merged_bytes(shape, compute_);
    } else if (entry.rows) {
      sum += entry.rows->bytes();
    } else {
      sum += resident_weight_bytes(shape, entry.tensor.dtype(), entry.scale != 1, compute_);
    }
  });
  return sum;
}

bool WeightScope::claim_layer() const {
  const std::uint64_t bytes = resident_bytes();
  if (bytes > map_->layer_bytes_) {
    map_->layer_bytes_ = 0;
    return false;
  }
  map_->layer_bytes_ -= bytes;
  return true;
}

void WeightScope::release_pages() const {
  visit([&](const std::string& name, const WeightMap::Entry& entry) {
    map_->release_pages(entry);
    if (!map_->adapters_of(name).empty()) map_->adapters_->release_pages(module_of(name));
  });
}

void WeightScope::read_ahead() const {
  visit([&](const std::string&, const WeightMap::Entry& entry) {
    for (const Tensor& tensor : entry.tensors()) {
      const MappedFile* const file = map_->file_of(tensor);
      if (file != nullptr) file->read_ahead({tensor.raw(), tensor.bytes()});
    }
  });
}

bool WeightScope::has(std::string_view name) const { return map_->has((*this / name).prefix_); }

bool WeightScope::has(std::string_view name, const Shape& shape) const {
  return map_->has((*this / name).prefix_, shape);
}

Tensor WeightMap::surveyed(const std::string& name, const Shape& shape, Dtype dtype) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    survey_->missing.push_back(name);
  } else if (!(it->second.shape() == shape)) {
    survey_->mismatched.push_back({name, it->second.shape(), shape, it->second.file});
  }
  if (it != entries_.end() && !it->second.is_number()) {
    const auto& known = it->second.unreadable;
    survey_->unreadable.push_back({name, it->second.type(), known ? known->fault : ""});
  }
  taken_.insert(name);
  survey_->asked.emplace_back(name, shape);
  return zero_pages(shape, dtype);
}

Tensor WeightScope::as(std::string_view name, const Shape& shape, Dtype dtype) const {
  if (map_->survey() != nullptr) return map_->surveyed((*this / name).prefix_, shape, dtype);
  const WeightMap::Entry& entry = found((*this / name).prefix_, shape);
  if (is_checking_) return zero_pages(shape, dtype);
  Tensor result = converted(entry, dtype);
  if (result.raw() != entry.tensor.raw()) map_->release_pages(entry);  // not used again
  return result;
}

WeightMatrix WeightScope::product_weight(std::string_view name, const Shape& shape) const {
  if (map_->survey() != nullptr || is_checking_) return WeightMatrix(matrix(name, shape));
  const std::string full_name = (*this / name).prefix_;
  const auto& adapters = map_->adapters_of(full_name);
  if (adapters.empty()) return plain_weight(full_name, shape);
  if (map_->adapters_->merges(module_of(full_name))) return merged_weight(full_name, shape);
  WeightMatrix result = adapted(plain_weight(full_name, shape), adapters, shape, compute_,
                                str(map_->where(), ": ", full_name));
  map_->adapters_->release_converted(module_of(full_name), compute_);
  return result;
}

WeightMatrix WeightScope::plain_weight(const std::string& name, const Shape& shape) const {
  const WeightMap::Entry& entry = found(name, shape);
  const bool is_quantized = !entry.is_int8() && map_->int8_.applies_to(name, shape);
  if (entry.is_int8() && map_->int8_.uses_stored) return WeightMatrix(entry.int8());
  if (entry.rows && !is_quantized) return WeightMatrix(entry.rows);
  if (!is_quantized) {
    const Tensor dense = converted(entry, compute_);
    if (dense.raw() != entry.tensor.raw()) map_->release_pages(entry);  // not used again
    return WeightMatrix(dense);
  }
  const bool is_bf16 = !entry.rows && entry.tensor.dtype() == Dtype::kBf16 && entry.scale == 1;
  auto result = ops::quantize_int8(converted(entry, is_bf16 ? Dtype::kBf16 : Dtype::kF32),
                                   ops::int8_rotation(shape[1]));
  map_->release_pages(entry);  // not used again
  return WeightMatrix(std::move(result));
}

WeightMatrix WeightScope::merged_weight(const std::string& name, const Shape& shape) const {
  const WeightMap::Entry& entry = found(name, shape);
  const auto& adapters = map_->adapters_of(name);
  const bool is_bf16 = !entry.rows && entry.tensor.dtype() == Dtype::kBf16 && entry.scale == 1;
  const WeightMatrix weight =
      entry.is_int8() ? WeightMatrix(entry.int8())
      : entry.rows    ? WeightMatrix(entry.rows)
                      : WeightMatrix(converted(entry, is_bf16 ? Dtype::kBf16 : Dtype::kF32));
  const bool is_int8 = map_->int8_.multiplies(name, shape, entry.is_int8());
  const Tensor result = merged(weight, adapters, shape, is_int8 ? Dtype::kF32 : compute_,
                               str(map_->where(), ": ", name));
  map_->release_pages(entry);  // not used again
  map_->adapters_->release_pages(module_of(name));
  if (!is_int8) return with_biases(WeightMatrix(result), adapters, shape[0]);
  const int rotation = entry.is_int8() ? entry.rotation : ops::int8_rotation(shape[1]);
  return with_biases(WeightMatrix(ops::quantize_int8(result, rotation)), adapters, shape[0]);
}

Tensor WeightScope::matrix(std::string_view name, const Shape& shape) const {
  return as(name, shape, compute_);
}

Tensor WeightScope::vector(std::string_view name, const Shape& shape) const {
  const Tensor x = as(name, shape, Dtype::kF32);
  const bool is_plain = map_->survey() != nullptr || is_checking_;
  return is_plain ? x : with_vectors(x, map_->adapters_of((*this / name).prefix_));
}

Tensor WeightScope::stored(std::string_view name, const Shape& shape) const {
  const std::string full_name = (*this / name).prefix_;
  if (map_->survey() != nullptr) return map_->surveyed(full_name, shape, Dtype::kF32);
  const WeightMap::Entry& entry = found(full_name, shape);
  const bool is_coded = entry.rows || entry.is_int8();
  const Dtype dtype = is_coded ? compute_ : (entry.scale == 1 ? entry.tensor.dtype() : Dtype::kF32);
  return is_checking_ ? zero_pages(shape, dtype) : converted(entry, dtype);
}

WeightMatrix WeightScope::table(std::string_view name, const Shape& shape) const {
  if (map_->survey() != nullptr || is_checking_) return WeightMatrix(stored(name, shape));
  const WeightMap::Entry& entry = found((*this / name).prefix_, shape);
  if (entry.rows) return WeightMatrix(entry.rows);
  return entry.is_int8() ? WeightMatrix(entry.int8()) : WeightMatrix(stored(name, shape));
}

const WeightMap::Entry& WeightScope::found(const std::string& full_name, const Shape& shape) const {
  const WeightMap::Entry& entry = map_->entry(full_name, shape);
  check(entry.is_number(), map_->where(), ": tensor ", full_name, " is ", entry.tensor.dtype(),
        ", expected floating-point numbers");
  return entry;
}

}  // namespace zimage
