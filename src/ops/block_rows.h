#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "ops/weight_rows.h"

namespace zimage::ops {

// How GGUF files hold weights in few bits: rows of blocks of 32 or 256 weights, each with a scale
// (cpu/kernels/blocks32.cpp and blocks256.cpp tell how).
struct BlockFormat {
  std::string_view name;  // as GGUF has it: "Q4_K"
  std::int64_t size;      // weights of a block
  std::int64_t bytes;
};

// All that are read.
std::span<const BlockFormat> block_formats();
const BlockFormat* find_block_format(std::string_view name);  // null: none of them

// Weights [out, in], `in` a multiple of the block. data: U8 [out, in / size * bytes], of any
// alignment. Throws Error for data that does not fit.
std::shared_ptr<const WeightRows> block_rows(const Tensor& data, const Shape& shape,
                                             const BlockFormat& format);

}  // namespace zimage::ops
