#include "transformer/control_stack.h"

#include "ops/elementwise.h"

namespace zimage {
namespace {

std::optional<Linear> load_projection(const WeightScope& weights, int dim, bool is_present) {
  if (!is_present) return {};
  return Linear(weights, dim, dim, Linear::Bias::kPresent);
}

}  // namespace

ControlStack::ControlStack(const WeightScope& weights, const TransformerConfig& config, int blocks,
                           Kind kind)
    : before_proj_(
          load_projection(weights / "0" / "before_proj", config.dim, kind == Kind::kHinting)),
      blocks_(weights, blocks,
              [config, kind](const WeightScope& block) {
                return Block{
                    TransformerBlock(block, config),
                    load_projection(block / "after_proj", config.dim, kind == Kind::kHinting)};
              }),
      compute_(weights.compute()) {}

Tensor ControlStack::project(const Tensor& c) const {
  return before_proj_ ? (*before_proj_)(ops::cast(c, compute_), Dtype::kF32) : c;
}

ControlHints::ControlHints(const ControlStack& stack, std::span<const int> places,
                           const Tensor& projected, const Tensor& x, const Sequences& sequences,
                           const Step& step)
    : stack_(stack),
      places_(places),
      c_(stack.before_proj_ ? ops::add(projected, x) : projected),
      sequences_(sequences),
      step_(step) {}

bool ControlHints::follow(int layer) const {
  return done_ < places_.size() && places_[done_] == layer;
}

Tensor ControlHints::next() {
  const auto block = run_block();
  return (*block->after_proj)(ops::cast(c_, stack_.compute_), Dtype::kF32);
}

Tensor ControlHints::finish() {
  while (static_cast<int>(done_) < stack_.blocks_.size()) (void)run_block();
  return c_;
}

std::shared_ptr<const ControlStack::Block> ControlHints::run_block() {
  auto block = stack_.blocks_[static_cast<int>(done_++)];
  c_ = step_.run(block->block, c_, sequences_);
  return block;
}

}  // namespace zimage
