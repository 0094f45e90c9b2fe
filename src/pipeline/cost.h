// Arithmetic of a model's parts, from configurations and sizes alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "layers/adapters.h"
#include "text_encoder/text_encoder.h"
#include "transformer/controlnet.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

// Floating-point operations, two for a multiply-add. What is proportional to the number of
// activations (norms, softmax, gates) is left out: it is some percent of the time.
struct Cost {
  double linear = 0;       // matrix products with weights
  double attention = 0;    // products of queries, keys and values
  double convolution = 0;  // kernels larger than one pixel

  double total() const { return linear + attention + convolution; }
  Cost& operator+=(const Cost& other);
};
Cost operator+(Cost a, const Cost& b);
Cost operator*(double times, Cost cost);

// Tokens of one picture and prompt in the transformer, each padded to its multiple.
struct SequenceLength {
  // width, height: pixels; caption: tokens of the prompt.
  SequenceLength(const TransformerConfig& transformer, const VaeConfig& vae, int width, int height,
                 int caption);

  std::int64_t image, caption;
  std::int64_t total() const { return image + caption; }
};

Cost cost_of_block(const TransformerConfig& config, std::int64_t tokens);
// Once per prompt: embedding and refining of the caption, padding included.
Cost cost_of_caption(const TransformerConfig& config, std::int64_t tokens);
// One forward with a caption that is refined already.
Cost cost_of_transformer(const TransformerConfig& config, const SequenceLength& tokens);
// What a control network adds to a forward.
Cost cost_of_controlnet(const ControlNetConfig& config, const TransformerConfig& transformer,
                        const SequenceLength& tokens);
// What adapters of the transformer add. Those of the modulation are left out, as its own products
// are.
struct AdapterCost {
  Cost forward, caption;  // beside those of the same names above
  Cost gates;             // of DoRA, once
  Cost merging;           // each time that all weights are loaded
};
// is_int8: whether the weight of a module is multiplied in eight bits.
AdapterCost cost_of_adapters(const AdapterSet& adapters, const TransformerConfig& config,
                             const SequenceLength& tokens,
                             const std::function<bool(const std::string& module)>& is_int8);
// Every layer but the last.
Cost cost_of_text_encoder(const TextEncoderConfig& config, std::int64_t tokens);
// width, height: pixels.
Cost cost_of_vae_decoder(const VaeConfig& config, int width, int height);
Cost cost_of_vae_encoder(const VaeConfig& config, int width, int height);

}  // namespace zimage
