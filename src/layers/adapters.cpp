#include "layers/adapters.h"

#include <algorithm>
#include <functional>

#include "ops/elementwise.h"

namespace zimage {

std::vector<Tensor> ModuleAdapter::tensors() const {
  std::vector<Tensor> all = delta ? delta->tensors() : std::vector<Tensor>();
  for (const Tensor& tensor : {magnitude, bias, vector}) {
    if (tensor.defined()) all.push_back(tensor);
  }
  return all;
}

void AdapterSet::add(const std::string& module, ModuleAdapter adapter) {
  if (adapter.magnitude.defined()) adapter.gates = std::make_shared<GateCache>();
  modules_[module].push_back(std::move(adapter));
}

const std::vector<ModuleAdapter>& AdapterSet::of(const std::string& module) const {
  static const std::vector<ModuleAdapter> kNone;
  const auto it = modules_.find(module);
  return it == modules_.end() ? kNone : it->second;
}

bool AdapterSet::merges(const std::string& module) const {
  const auto& adapters = of(module);
  return is_merged_ && std::any_of(adapters.begin(), adapters.end(),
                                   [](const ModuleAdapter& a) { return a.delta != nullptr; });
}

std::uint64_t AdapterSet::resident_bytes(const std::string& module, Dtype compute) const {
  if (is_merged_) return 0;
  std::uint64_t sum = 0;
  for (const ModuleAdapter& adapter : of(module)) {
    if (adapter.delta) sum += adapter.delta->resident_bytes(compute);
  }
  return sum;
}

void AdapterSet::release_pages() const {
  for (const auto& file : files_) file->release_pages();
}

void AdapterSet::release_pages(const std::string& module) const {
  for (const ModuleAdapter& adapter : of(module)) {
    for (const Tensor& tensor : adapter.tensors()) release_pages(tensor);
  }
}

void AdapterSet::release_converted(const std::string& module, Dtype compute) const {
  for (const ModuleAdapter& adapter : of(module)) {
    for (const Tensor& tensor : adapter.tensors()) {
      if (tensor.dtype() != compute) release_pages(tensor);
    }
  }
}

void AdapterSet::release_pages(const Tensor& tensor) const {
  const std::less_equal<> before;
  for (const auto& file : files_) {
    const auto bytes = file->bytes();
    const bool is_inside = before(bytes.data(), tensor.raw()) &&
                           before(tensor.raw() + tensor.bytes(), bytes.data() + bytes.size());
    if (is_inside) file->release_pages({tensor.raw(), tensor.bytes()});
  }
}

void AdapterSet::check_intact() const {
  for (const auto& file : files_) file->check_intact();
}

Tensor with_vectors(const Tensor& x, const std::vector<ModuleAdapter>& adapters) {
  Tensor sum = x;
  const std::int64_t n = x.numel();
  for (const ModuleAdapter& a : adapters) {
    if (!a.vector.defined()) continue;
    Tensor next = empty(x.shape());
    const Tensor vector = ops::cast(a.vector, Dtype::kF32);
    for (std::int64_t i = 0; i < n; ++i) {
      next.data<float>()[i] = sum.data<float>()[i] + a.scale * vector.data<float>()[i];
    }
    sum = next;
  }
  return sum;
}

}  // namespace zimage
