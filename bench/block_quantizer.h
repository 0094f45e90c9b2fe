#pragma once

#include "core/tensor.h"
#include "ops/block_rows.h"

namespace zimage::bench {

// weight: [out, in] f32. A plain quantiser for measuring: the range of every group of weights, and
// of the groups' scales, is cut evenly. llama.cpp's searches for better scales in the K formats.
std::shared_ptr<const ops::WeightRows> quantize_blocks(const Tensor& weight,
                                                       const ops::BlockFormat& format);

}  // namespace zimage::bench
