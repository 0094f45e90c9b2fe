#include "layers/sequences.h"

#include <algorithm>

namespace zimage {

Tensor Sequences::leading(const Tensor& x, std::int64_t rows) const {
  const auto is_whole = [&](std::int64_t length) { return length <= rows; };
  if (std::all_of(lengths.begin(), lengths.end(), is_whole)) return x;
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    parts.push_back(x.slice(begin, begin + std::min(rows, length)));
    begin += length;
  }
  return concat(parts);
}

}  // namespace zimage
