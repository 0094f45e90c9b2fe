#pragma once

#include <optional>
#include <span>

#include "layers/layer_list.h"
#include "transformer/step.h"

namespace zimage {

// Blocks that carry control tokens along beside those of the transformer.
class ControlStack {
 public:
  // kHinting: before_proj leads into the first block, and the after_proj of each makes a hint.
  enum class Kind { kPlain, kHinting };

  ControlStack(const WeightScope& weights, const TransformerConfig& config, int blocks, Kind kind);

  // c: [tokens, dim] f32. Returns the part of what the first block gets that depends on c alone.
  Tensor project(const Tensor& c) const;

 private:
  friend class ControlHints;
  struct Block {
    TransformerBlock block;
    std::optional<Linear> after_proj;
  };

  std::optional<Linear> before_proj_;
  LayerList<Block> blocks_;
  Dtype compute_;
};

// One pass of the control tokens through a stack. A block runs when the transformer asks for its
// hint, so that there is one hint in memory and not one for every place. Stack, places, sequences
// and step outlive it.
class ControlHints {
 public:
  // places: the transformer's layers after which the hints belong, ascending, not more than the
  // stack has blocks. projected: from project(); x: the transformer's tokens where the stack
  // branches off. Both [rows of all sequences, dim] f32.
  ControlHints(const ControlStack& stack, std::span<const int> places, const Tensor& projected,
               const Tensor& x, const Sequences& sequences, const Step& step);

  // Whether the next hint belongs after this layer.
  bool follow(int layer) const;
  // [rows, dim] f32, to be added to the tokens there.
  Tensor next();
  // The control tokens after the last block, [rows, dim] f32. Nothing follows it.
  Tensor finish();

 private:
  std::shared_ptr<const ControlStack::Block> run_block();

  const ControlStack& stack_;
  std::span<const int> places_;
  Tensor c_;
  const Sequences& sequences_;
  const Step& step_;
  std::size_t done_ = 0;  // blocks
};

}  // namespace zimage
