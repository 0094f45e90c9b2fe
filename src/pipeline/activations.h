// Memory of what is computed, stage by stage, at its peak: tensors as the allocator rounds and
// keeps them, and what kernels take for themselves.
#pragma once

#include <cstdint>

#include "pipeline/cost.h"

namespace zimage {

// captions: that go through the transformer together.
std::uint64_t transformer_tensor_bytes(const TransformerConfig& config,
                                       const SequenceLength& tokens, int captions, Dtype compute);
// What a control network adds.
std::uint64_t controlnet_tensor_bytes(const TransformerConfig& config, const SequenceLength& tokens,
                                      int captions, Dtype compute);
// What the products of adapters add.
std::uint64_t adapter_tensor_bytes(const TransformerConfig& config, const SequenceLength& tokens,
                                   int captions);
std::uint64_t text_encoder_tensor_bytes(const TextEncoderConfig& config, std::int64_t tokens,
                                        Dtype compute);
// Sizes in pixels. tile: side of the VAE's tiles in latent pixels; 0: the picture in one.
std::uint64_t vae_decoder_tensor_bytes(const VaeConfig& config, int width, int height, int tile,
                                       Dtype compute);
std::uint64_t vae_encoder_tensor_bytes(const VaeConfig& config, int width, int height, int tile,
                                       Dtype compute);

}  // namespace zimage
