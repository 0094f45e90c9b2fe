#include "models/layer_bytes.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "core/allocator.h"
#include "layers/module_name.h"

namespace zimage {
namespace {

// The place of a layer: which list, and where in it.
using Place = std::pair<std::size_t, int>;

std::optional<Place> place_of(std::string_view name, const std::vector<std::string_view>& lists) {
  for (std::size_t list = 0; list < lists.size(); ++list) {
    if (!name.starts_with(lists[list])) continue;
    const std::string_view rest = name.substr(lists[list].size());
    int layer = 0;
    if (rest.size() < 2 || rest[0] != '.') continue;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), layer);
    if (error == std::errc()) return Place{list, layer};
  }
  return {};
}

struct Bytes {
  std::uint64_t resident;
  bool is_converted;
};

Bytes merged_bytes(const StoredTensor& tensor, Dtype compute, const Int8Policy& int8) {
  const bool is_int8 = int8.multiplies(tensor.name, tensor.shape, tensor.dtype == Dtype::kI8);
  return {is_int8 ? resident_int8_bytes(tensor.shape, false)
                  : resident_merged_bytes(tensor.shape, compute),
          true};
}

// With what its adapters take.
Bytes bytes_of(const StoredTensor& tensor, Dtype compute, const Int8Policy& int8,
               const AdapterSet* adapters) {
  if (adapters != nullptr && is_weight(tensor.name)) {
    const std::string module = module_of(tensor.name);
    const bool is_merged = adapters->merges(module);
    Bytes bytes =
        is_merged ? merged_bytes(tensor, compute, int8) : bytes_of(tensor, compute, int8, nullptr);
    bytes.resident += adapters->resident_bytes(module, compute);
    return bytes;
  }
  const bool is_stored = tensor.dtype == Dtype::kI8;
  if (int8.multiplies(tensor.name, tensor.shape, is_stored)) {
    return {resident_int8_bytes(tensor.shape, is_stored), !is_stored};
  }
  if (!tensor.format.empty()) return {tensor.bytes, false};
  return {resident_weight_bytes(tensor.shape, tensor.dtype, tensor.is_scaled, compute),
          tensor.dtype != compute || tensor.is_scaled};
}

}  // namespace

std::uint64_t LayerBytes::total() const {
  return std::accumulate(layers.begin(), layers.end(), fixed);
}

std::uint64_t LayerBytes::largest() const {
  return layers.empty() ? 0 : *std::max_element(layers.begin(), layers.end());
}

LayerBytes layer_bytes(const std::vector<StoredTensor>& tensors,
                       const std::vector<std::string_view>& lists, Dtype compute,
                       const Int8Policy& int8, const AdapterSet* adapters) {
  LayerBytes result;
  std::map<Place, std::uint64_t> layers;
  for (const StoredTensor& tensor : tensors) {
    const auto [bytes, is_converted] = bytes_of(tensor, compute, int8, adapters);
    const auto place = place_of(tensor.name, lists);
    (place ? layers[*place] : result.fixed) += bytes;
    if (is_converted) result.converted += bytes;
    // Copied when the file is opened, whether it is used or not.
    if (!tensor.is_aligned) {
      const std::size_t plain =
          static_cast<std::size_t>(tensor.shape.numel()) * size_of(tensor.dtype);
      result.fixed += allocator::rounded(tensor.format.empty() ? plain : tensor.bytes);
    }
  }
  for (const auto& [place, bytes] : layers) result.layers.push_back(bytes);
  return result;
}

}  // namespace zimage
