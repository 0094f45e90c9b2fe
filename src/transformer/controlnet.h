#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "transformer/control_stack.h"
#include "transformer/transformer.h"

namespace zimage {

// What ZImageControlNetModel is made of.
struct ControlNetConfig {
  // How the control tokens pass the stage of the noise refiner.
  enum class Refiner {
    kPlain,          // 1.0: through blocks of their own, without hints
    kControlLayers,  // 2.0: through the control layers, which the next stage uses again
    kOwn,            // 2.1: through control blocks of their own
  };

  int in_channels;
  std::vector<int> layer_places;    // the transformer's layers after which hints are added
  std::vector<int> refiner_places;  // those of its noise refiner; none with kPlain
  Refiner refiner;

  // From the names and shapes of a checkpoint's tensors; the hints are taken to be spread evenly
  // over the transformer's layers, as in all published files. Throws Error.
  static ControlNetConfig from_weights(const WeightMap& weights,
                                       const TransformerConfig& transformer);
  // From the config.json of diffusers. Throws Error naming the key whose value is missing, out of
  // range or does not fit the transformer.
  static ControlNetConfig from_json(const Json& json, const TransformerConfig& transformer);
};

// How many numbers N there are in names "<prefix>N.<rest>".
int count_blocks(const std::vector<std::string>& names, std::string_view prefix);

// A network beside the transformer that steers it by a picture: Fun ControlNet Union 1.0, 2.0 and
// 2.1 (diffusers: ZImageControlNetModel). It shares the transformer's embedders and noise refiner.
class ControlNet {
 public:
  // Throws Error naming a tensor that is missing, of another shape or not part of the model.
  ControlNet(const ControlNetConfig& config, const TransformerConfig& transformer,
             const WeightMap& weights, Dtype compute);
  ~ControlNet();

  const ControlNetConfig& config() const;

  // latents: [in_channels, height, width] f32, of the size of the picture's; x_pad_token: the
  // transformer's.
  ControlContext prepare(const Tensor& latents, const Tensor& x_pad_token) const;

  // The pass beside the noise refiner. c: the context's tokens, x: the image's, embedded; both
  // [rows of all sequences, dim] f32.
  ControlHints refiner_hints(const Tensor& c, const Tensor& x, const Sequences& sequences,
                             const Step& step) const;
  // The pass beside the layers. c: what the first pass finished with; x: what its hints made of the
  // noise refiner's result. To both the refined captions have been joined: [rows of all sequences,
  // dim] f32.
  ControlHints layer_hints(const Tensor& c, const Tensor& x, const Sequences& sequences,
                           const Step& step) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace zimage
