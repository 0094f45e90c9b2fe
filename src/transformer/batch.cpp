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

// One for each caption, with its image_rope or its rope.
Sequences sequences_of(Captions captions, ops::RopeTable Transformer::Caption::*rope) {
  Sequences sequences;
  std::vector<ops::RopeTable> ropes;
  for (const auto* caption : captions) {
    ropes.push_back(caption->*rope);
    sequences.lengths.push_back(ropes.back().cos.dim(0));
  }
  sequences.rope = concat_ropes(ropes);
  return sequences;
}

}  // namespace

Batch::Batch(Captions captions)
    : captions_(captions),
      image_(sequences_of(are_of_one_length(captions) ? captions.first(1) : captions,
                          &Transformer::Caption::image_rope)),
      all_(sequences_of(captions, &Transformer::Caption::rope)) {}

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
