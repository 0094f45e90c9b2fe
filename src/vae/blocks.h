// The convolution blocks of AutoencoderKL. Pictures are NHWC without N: [height, width, channels]
// of the compute dtype; statistics and accumulation inside the ops are f32 or f64.
#pragma once

#include <optional>
#include <string_view>

#include "layers/weights.h"
#include "ops/conv2d.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/upsample_conv2d.h"
#include "vae/tiles.h"

namespace zimage {

// torch.nn.Conv2d with a square kernel.
class Conv2d {
 public:
  Conv2d(const WeightScope& weights, int in, int out, int kernel,
         const ops::Conv2dOptions& options);
  // Padding that keeps the size.
  Conv2d(const WeightScope& weights, int in, int out, int kernel);

  Tensor operator()(const Tensor& x) const { return ops::conv2d(x, weight_, bias_, options_); }

 private:
  Tensor weight_, bias_;
  ops::Conv2dOptions options_;
};

// Twice the size by nearest neighbours, then a 3x3 convolution that keeps size and channels.
class UpsampleConv2d {
 public:
  UpsampleConv2d(const WeightScope& weights, int channels)
      : weight_(ops::upsample_weight_from_torch(
            weights.stored("weight", {channels, channels, 3, 3}), weights.compute())),
        bias_(weights.vector("bias", {channels})) {}

  Tensor operator()(const Tensor& x) const { return ops::upsample_conv2d(x, weight_, bias_); }

 private:
  Tensor weight_, bias_;
};

// GroupNorm with the model's eps, with or without the SiLU that follows it.
class GroupNorm {
 public:
  GroupNorm(const WeightScope& weights, int channels, int groups)
      : weight_(weights.vector("weight", {channels})),
        bias_(weights.vector("bias", {channels})),
        groups_(groups) {}

  // `tile`: what x is a part of, or null for a whole picture.
  Tensor operator()(const Tensor& x) const { return normalise(x, false, nullptr); }
  Tensor silu(const Tensor& x, TileNorms* tile = nullptr) const { return normalise(x, true, tile); }

 private:
  static constexpr float kEps = 1e-6f;  // diffusers passes it to every norm of this model
  Tensor normalise(const Tensor& x, bool with_silu, TileNorms* tile) const {
    if (tile != nullptr) return tile->normalise(x, groups_, weight_, bias_, kEps, with_silu);
    return ops::group_norm(x, groups_, weight_, bias_, kEps, with_silu);
  }

  Tensor weight_, bias_;
  int groups_;
};

// shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))).
class ResnetBlock {
 public:
  ResnetBlock(const WeightScope& weights, int in, int out, int groups);
  Tensor operator()(const Tensor& x, TileNorms* tile = nullptr) const;

 private:
  GroupNorm norm1_;
  Conv2d conv1_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Conv2d> shortcut_;  // 1x1, where the channels change
};

// A linear layer of the attention.
class Projection {
 public:
  // Old files call it `old_name`, or hold it as a 1x1 convolution.
  Projection(const WeightScope& weights, std::string_view name, std::string_view old_name,
             int channels);

  Tensor operator()(const Tensor& x) const { return ops::linear(x, weight_, bias_, x.dtype()); }

 private:
  Tensor weight_, bias_;
};

// Self-attention over all pixels with one head, plus x.
class AttentionBlock {
 public:
  AttentionBlock(const WeightScope& weights, int channels, int groups);
  Tensor operator()(const Tensor& x) const;

 private:
  GroupNorm norm_;
  Projection to_q_, to_k_, to_v_, to_out_;
};

// resnet, attention (where the model has it), resnet.
class MidBlock {
 public:
  MidBlock(const WeightScope& weights, int channels, int groups, bool has_attention);
  Tensor operator()(const Tensor& x) const;

 private:
  ResnetBlock first_;
  std::optional<AttentionBlock> attention_;
  ResnetBlock second_;
};

// [channels, height, width] f32 to [height, width, channels] of `dtype`, and back to f32.
Tensor to_nhwc(const Tensor& x, Dtype dtype);
Tensor to_nchw(const Tensor& x);

}  // namespace zimage
