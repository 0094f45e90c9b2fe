#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "io/json.h"
#include "layers/weights.h"

namespace zimage {

// transformer/config.json (ZImageTransformer2DModel).
struct TransformerConfig {
  int in_channels, dim, n_layers, n_refiner_layers, n_heads, n_kv_heads, cap_feat_dim;
  int patch_size, f_patch_size;  // all_patch_size[0], all_f_patch_size[0]
  float norm_eps, rope_theta, t_scale;
  bool qk_norm;
  std::array<int, 3> axes_dims;  // rope channels of frame, row, column; their sum is the head dim
  std::array<int, 3> axes_lens;  // positions of frame, row, column

  // Throws Error naming the key whose value is missing, out of range or not supported.
  static TransformerConfig from_json(const Json& json);
  int head_dim() const { return dim / n_heads; }
  int ffn_dim() const { return static_cast<int>(dim / 3.0 * 8.0); }
  int adaln_dim() const { return dim < 256 ? dim : 256; }  // of the time embedding
};

class ControlNet;

// What the control network knows of a picture, the same over its steps.
struct ControlContext {
  Tensor tokens;  // [image tokens with padding, dim] f32, as the first control block takes them
  int latent_height, latent_width;
};

// A control network (transformer/controlnet.h) at work on a picture.
struct Control {
  const ControlNet& net;
  const ControlContext& context;
  float scale = 1;  // of the hints; 0 leaves the network out
  // Sees every hint that is added after a layer, before it is scaled: [rows of all captions, dim]
  // f32.
  std::function<void(int layer, const Tensor& hint)> on_hint = {};
};

// The S3-DiT of Z-Image (diffusers: ZImageTransformer2DModel).
class Transformer {
 public:
  // Throws Error naming a tensor that is missing, of another shape or not part of the model.
  Transformer(const TransformerConfig& config, const WeightMap& weights, Dtype compute);
  ~Transformer();

  const TransformerConfig& config() const;

  // What stays the same over the steps of one picture: refined caption, rope tables.
  struct Caption;
  // prompt_embeds: [tokens, cap_feat_dim] f32, at least one token. latent sizes in latent pixels,
  // multiples of patch_size. Throws Error when a position lies beyond axes_lens.
  std::shared_ptr<const Caption> prepare(const Tensor& prompt_embeds, int latent_height,
                                         int latent_width) const;

  // latents: [channels, height, width] f32; t: 1 - sigma, 0 at pure noise, 1 at the picture.
  // Returns the raw output (the negated velocity) [channels, height, width] f32.
  // between_blocks, if set, is called before every block (to cancel, by throwing), those of the
  // control network included.
  Tensor operator()(const Tensor& latents, float t, const Caption& caption,
                    const std::function<void()>& between_blocks = {},
                    const Control* control = nullptr) const;

  // A pass for several captions at once, prepared for the same latents: the rows of all go through
  // the layers together, so that every weight is read once. One output per caption.
  std::vector<Tensor> operator()(const Tensor& latents, float t,
                                 std::span<const Caption* const> captions,
                                 const std::function<void()>& between_blocks = {},
                                 const Control* control = nullptr) const;

  // Stands for image tokens that are not there: [1, dim] f32.
  const Tensor& x_pad_token() const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace zimage
