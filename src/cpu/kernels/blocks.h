#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/dispatch.h"

namespace zimage::cpu {

// Blocks of weights in few bits, as GGUF files hold them, to f32. `blocks`: that many one after the
// other, aligned to nothing. What a block is stands in blocks32.cpp (32 weights each) and
// blocks256.cpp (256 each). Bit for bit what the gguf package makes of them.
using DecodeBlocks = void (*)(const std::uint8_t* blocks, std::int64_t n, float* values);

struct Block32Kernels {
  DecodeBlocks q4_0, q4_1, q5_0, q5_1, q8_0, iq4_nl;
};
struct Block256Kernels {
  DecodeBlocks q2_k, q3_k, q4_k, q5_k, q6_k;
};

ZIMAGE_KERNELS(Block32Kernels, block32_kernels);
ZIMAGE_KERNELS(Block256Kernels, block256_kernels);

}  // namespace zimage::cpu
