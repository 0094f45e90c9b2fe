#include "transformer/sequence.h"

#include <cstring>

namespace zimage {

std::int64_t padded(std::int64_t tokens) {
  return (tokens + kSequenceMultiple - 1) / kSequenceMultiple * kSequenceMultiple;
}

std::vector<Position> positions_of_caption(std::int64_t tokens) {
  std::vector<Position> positions;
  for (int i = 0; i < padded(tokens); ++i) positions.push_back({1 + i, 0, 0});
  return positions;
}

std::vector<Position> positions_of_image(int frame, int rows, int columns) {
  std::vector<Position> positions;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) positions.push_back({frame, row, column});
  }
  positions.resize(static_cast<std::size_t>(padded(std::int64_t{rows} * columns)), {0, 0, 0});
  return positions;
}

Tensor pad_rows(const Tensor& x, const Tensor& pad_token) {
  Tensor y = empty({padded(x.dim(0)), x.dim(1)}, x.dtype());
  std::memcpy(y.raw(), x.raw(), x.bytes());
  for (std::size_t at = x.bytes(); at < y.bytes(); at += pad_token.bytes()) {
    std::memcpy(y.raw() + at, pad_token.raw(), pad_token.bytes());
  }
  return y;
}

}  // namespace zimage
