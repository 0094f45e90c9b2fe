#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/check.h"
#include "io/safetensors.h"

// What is accepted must lie inside the file and have the size of its shape.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto header = zimage::parse_safetensors_header(std::as_bytes(std::span(data, size)), size,
                                                         "fuzz.safetensors");
    std::uint64_t end = 0;
    for (const auto& entry : header.tensors) {
      const auto bytes = static_cast<std::uint64_t>(entry.shape.numel()) * size_of(entry.dtype);
      if (entry.begin != end || entry.end - entry.begin != bytes) std::abort();
      end = entry.end;
    }
    if (header.data_begin + end != size) std::abort();
  } catch (const zimage::Error&) {
  }
  return 0;
}
