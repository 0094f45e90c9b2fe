#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/sequences.h"
#include "transformer/transformer.h"

namespace zimage {

// The captions of one pass, each with image tokens of its own.
class Batch {
 public:
  // At least one, all for latents of one size; they outlive the batch.
  explicit Batch(std::span<const Transformer::Caption* const> captions);

  // The image tokens before the captions join them. Captions of one length give the image the same
  // places, so that it needs to be there once only.
  const Sequences& image() const { return image_; }
  // Image and caption of each.
  const Sequences& all() const { return all_; }

  // x: [image tokens with padding, dim] f32, the same for every caption. Returns the rows of
  // image().
  Tensor repeat(const Tensor& x) const;
  // x: the rows of image(). Returns those of all().
  Tensor join(const Tensor& x) const;

 private:
  std::span<const Transformer::Caption* const> captions_;
  Sequences image_, all_;
};

}  // namespace zimage
