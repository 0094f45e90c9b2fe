// Random weights in the block formats of GGUF files.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "ops/block_rows.h"

namespace zimage {

// A half of a block: where it is and its bits, so that weights are of some hundredths.
struct BlockScale {
  std::string_view format;
  std::size_t at;
  std::uint16_t bits;
};
inline constexpr BlockScale kBlockScales[] = {
    {"Q8_0", 0, 0x1000},  {"Q4_0", 0, 0x1c00},  {"Q4_1", 0, 0x1c00},   {"Q4_1", 2, 0xa400},
    {"Q5_0", 0, 0x1800},  {"Q5_1", 0, 0x1800},  {"Q5_1", 2, 0xa400},   {"IQ4_NL", 0, 0x1000},
    {"Q2_K", 80, 0x1800}, {"Q2_K", 82, 0x1800}, {"Q3_K", 108, 0x1000}, {"Q4_K", 0, 0x0800},
    {"Q4_K", 2, 0x1400},  {"Q5_K", 0, 0x0400},  {"Q5_K", 2, 0x1400},   {"Q6_K", 208, 0x0200}};

inline std::string random_blocks(const ops::BlockFormat& format, std::int64_t blocks,
                                 std::mt19937& engine) {
  std::string bytes(static_cast<std::size_t>(blocks * format.bytes), '\0');
  for (char& byte : bytes) byte = static_cast<char>(engine());
  for (std::int64_t i = 0; i < blocks; ++i) {
    for (const BlockScale& scale : kBlockScales) {
      if (scale.format != format.name) continue;
      const auto bits = static_cast<std::uint16_t>(scale.bits + engine() % 0x200);
      const std::size_t at = static_cast<std::size_t>(i * format.bytes) + scale.at;
      bytes[at] = static_cast<char>(bits);
      bytes[at + 1] = static_cast<char>(bits >> 8);
    }
  }
  return bytes;
}

}  // namespace zimage
