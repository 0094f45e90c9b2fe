#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "core/check.h"
#include "io/safetensors.h"
#include "models/adapter_binding.h"
#include "models/adapter_file.h"

// What is accepted must have the shape of the weight that it changes, and decode.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zimage;
  try {
    const auto header =
        parse_safetensors_header(std::as_bytes(std::span(data, size)), size, "fuzz.safetensors");
    std::map<std::string, Tensor> tensors;
    for (const auto& entry : header.tensors) {
      Tensor tensor = empty(entry.shape, entry.dtype);
      std::memcpy(tensor.raw(), data + header.data_begin + entry.begin, tensor.bytes());
      tensors[entry.name] = tensor;
    }
    const ModuleShapes model{{"layers.0.attention.to_q", {4, 6}},
                             {"layers.0.attention.to_k", {4, 6}},
                             {"layers.0.attention.to_v", {4, 6}},
                             {"cap_embedder.0", {6}}};
    AdapterSet set;
    const AdapterFile file = sort_adapter(tensors, {}, "fuzz");
    (void)report_of(bind_adapter(file, model, 1, false, set));
    for (const auto& [module, adapters] : set.modules()) {
      const Shape& shape = model.at(module);
      for (const ModuleAdapter& adapter : adapters) {
        if (!adapter.delta) continue;
        if (!(adapter.delta->shape() == shape)) std::abort();
        (void)adapter.delta->prepared(Dtype::kF32)->block(0, shape[0]);
      }
    }
  } catch (const zimage::Error&) {
  }
  return 0;
}
