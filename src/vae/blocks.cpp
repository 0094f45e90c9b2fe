#include "vae/blocks.h"

#include <cmath>

#include "core/allocator.h"
#include "core/check.h"
#include "core/parallel.h"
#include "ops/attention.h"
#include "ops/elementwise.h"

namespace zimage {
namespace {

ops::Conv2dOptions same_size(int kernel) {
  const int pad = kernel / 2;
  return {.stride = 1, .pad_top = pad, .pad_left = pad, .pad_bottom = pad, .pad_right = pad};
}

// out[c][p] = in[p][c], with a conversion on the way; p counts pixels.
template <class In, class Out>
void transpose(const In* in, std::int64_t rows, std::int64_t columns, Out* out) {
  parallel_blocks(columns, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = begin; c < end; ++c) {
        out[c * rows + r] = Out(static_cast<float>(in[r * columns + c]));
      }
    }
  });
}

}  // namespace

Conv2d::Conv2d(const WeightScope& weights, int in, int out, int kernel,
               const ops::Conv2dOptions& options)
    : weight_(ops::conv_weight_from_torch(weights.matrix("weight", {out, in, kernel, kernel}))),
      bias_(weights.vector("bias", {out})),
      options_(options) {}

Conv2d::Conv2d(const WeightScope& weights, int in, int out, int kernel)
    : Conv2d(weights, in, out, kernel, same_size(kernel)) {}

ResnetBlock::ResnetBlock(const WeightScope& weights, int in, int out, int groups)
    : norm1_(weights / "norm1", in, groups),
      conv1_(weights / "conv1", in, out, 3),
      norm2_(weights / "norm2", out, groups),
      conv2_(weights / "conv2", out, out, 3) {
  if (in != out) shortcut_.emplace(weights / "conv_shortcut", in, out, 1);
}

Tensor ResnetBlock::operator()(const Tensor& x, TileNorms* tile) const {
  // One by one, so that each is freed once it is used: at full size they are the peak of memory.
  Tensor h = norm1_.silu(x, tile);
  h = conv1_(h);
  if (shortcut_) allocator::trim();  // no later tensor has the size of the wider input
  h = norm2_.silu(h, tile);
  h = conv2_(h);
  return ops::add(shortcut_ ? (*shortcut_)(x) : x, h);
}

Projection::Projection(const WeightScope& weights, std::string_view name, std::string_view old_name,
                       int channels) {
  const WeightScope scope = weights / (weights.has(str(name, ".weight")) ? name : old_name);
  const Shape shape{channels, channels}, convolution{channels, channels, 1, 1};
  weight_ = scope.has("weight", convolution) ? scope.matrix("weight", convolution).reshape(shape)
                                             : scope.matrix("weight", shape);
  bias_ = scope.vector("bias", {channels});
}

AttentionBlock::AttentionBlock(const WeightScope& weights, int channels, int groups)
    : norm_(weights / "group_norm", channels, groups),
      to_q_(weights, "to_q", "query", channels),
      to_k_(weights, "to_k", "key", channels),
      to_v_(weights, "to_v", "value", channels),
      to_out_(weights, "to_out.0", "proj_attn", channels) {}

Tensor AttentionBlock::operator()(const Tensor& x) const {
  const std::int64_t pixels = x.dim(0) * x.dim(1), channels = x.dim(2);
  const Tensor h = norm_(x).reshape({pixels, channels});
  const Shape one_head{pixels, 1, channels};
  const Tensor attended =
      ops::attention(to_q_(h).reshape(one_head), to_k_(h).reshape(one_head),
                     to_v_(h).reshape(one_head), 1.0f / std::sqrt(static_cast<float>(channels)));
  return ops::add(x, to_out_(attended.reshape({pixels, channels})).reshape(x.shape()));
}

MidBlock::MidBlock(const WeightScope& weights, int channels, int groups, bool has_attention)
    : first_(weights / "resnets.0", channels, channels, groups),
      second_(weights / "resnets.1", channels, channels, groups) {
  if (has_attention) attention_.emplace(weights / "attentions.0", channels, groups);
}

Tensor MidBlock::operator()(const Tensor& x) const {
  const Tensor h = first_(x);
  return second_(attention_ ? (*attention_)(h) : h);
}

Tensor to_nhwc(const Tensor& x, Dtype dtype) {
  const std::int64_t channels = x.dim(0), pixels = x.dim(1) * x.dim(2);
  Tensor y = empty({x.dim(1), x.dim(2), channels}, dtype);
  if (dtype == Dtype::kBf16) {
    transpose(x.data<float>(), channels, pixels, y.data<bf16>());
  } else {
    transpose(x.data<float>(), channels, pixels, y.data<float>());
  }
  return y;
}

Tensor to_nchw(const Tensor& x) {
  const std::int64_t channels = x.dim(2), pixels = x.dim(0) * x.dim(1);
  Tensor y = empty({channels, x.dim(0), x.dim(1)});
  if (x.dtype() == Dtype::kBf16) {
    transpose(x.data<bf16>(), pixels, channels, y.data<float>());
  } else {
    transpose(x.data<float>(), pixels, channels, y.data<float>());
  }
  return y;
}

}  // namespace zimage
