#include "transformer/batch.h"

#include <algorithm>

#include "transformer/caption.h"

namespace zimage {
namespace {

using Captions = std::span<const Transformer::Caption* const>;

ops::RopeTable concat_ropes(std::span<const ops::RopeTable> tables) {
  std::vector<Tensor> cos, sin;
  for (const ops::RopeTable& table : tables) {
    cos.push_back(table.cos);
    sin.push_back(table.sin);
  }
  return {concat(cos), concat(sin)};
}

bool are_of_one_length(Captions captions) {
  return std::all_of(captions.begin(), captions.end(), [&](const Transformer::Caption* caption) {
    return caption->refined.dim(0) == captions.front()->refined.dim(0);
  });
}

Sequences image_sequences(Captions captions) {
  Sequences sequences;
  std::vector<ops::RopeTable> ropes;
  for (const auto* caption : are_of_one_length(captions) ? captions.first(1) : captions) {
    sequences.lengths.push_back(caption->image_rope.cos.dim(0));
    ropes.push_back(caption->image_rope);
  }
  sequences.rope = concat_ropes(ropes);
  return sequences;
}

Sequences all_sequences(Captions captions) {
  Sequences sequences;
  std::vector<ops::RopeTable> ropes;
  for (const auto* caption : captions) {
    sequences.lengths.push_back(caption->rope.cos.dim(0));
    ropes.push_back(caption->rope);
  }
  sequences.rope = concat_ropes(ropes);
  return sequences;
}

}  // namespace

Batch::Batch(Captions captions)
    : captions_(captions), image_(image_sequences(captions)), all_(all_sequences(captions)) {}

Tensor Batch::repeat(const Tensor& x) const {
  return concat(std::vector<Tensor>(image_.lengths.size(), x));
}

Tensor Batch::join(const Tensor& x) const {
  const std::int64_t rows = image_.lengths.front();
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < captions_.size(); ++i) {
    const auto image = static_cast<std::int64_t>(image_.lengths.size() > 1 ? i : 0);
    parts.push_back(x.slice(image * rows, (image + 1) * rows));
    parts.push_back(captions_[i]->refined);
  }
  return concat(parts);
}

}  // namespace zimage
