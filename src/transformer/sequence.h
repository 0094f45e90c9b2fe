// The order and places of tokens. Image and caption are each padded to a multiple of 32 with a
// learnt token that takes part like any other: there is no attention mask.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "transformer/rope_embedder.h"

namespace zimage {

inline constexpr std::int64_t kSequenceMultiple = 32;

std::int64_t padded(std::int64_t tokens);

// Caption tokens, padding included, follow each other on the frame axis from 1.
std::vector<Position> positions_of_caption(std::int64_t tokens);

// Image tokens lie on one frame, row by row; their padding at the origin.
std::vector<Position> positions_of_image(int frame, int rows, int columns);

// x: [tokens, dim], pad_token: [1, dim]. Returns [padded(tokens), dim].
Tensor pad_rows(const Tensor& x, const Tensor& pad_token);

}  // namespace zimage
