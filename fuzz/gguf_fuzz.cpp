#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/check.h"
#include "io/gguf.h"

// What is accepted must lie inside the file, apart, and have the size of its shape and type.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto header =
        zimage::parse_gguf_header(std::as_bytes(std::span(data, size)), "fuzz.gguf");
    std::uint64_t end = 0;
    for (const auto& entry : header.tensors) {
      if (entry.begin < end || entry.end < entry.begin) std::abort();
      end = entry.end;
      if (entry.type == nullptr) continue;
      const auto bytes = static_cast<std::uint64_t>(entry.shape.numel() / entry.type->block_size *
                                                    entry.type->block_bytes);
      if (entry.end - entry.begin != bytes) std::abort();
    }
    if (!header.tensors.empty() && header.data_begin + end > size) std::abort();
  } catch (const zimage::Error&) {
  }
  return 0;
}
