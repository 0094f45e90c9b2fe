#include "pipeline/activations.h"

#include <algorithm>
#include <initializer_list>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/conv2d.h"
#include "cpu/matmul.h"
#include "layers/adapters.h"

namespace zimage {
namespace {

std::uint64_t number(int n) { return static_cast<std::uint64_t>(n); }

// Tensors of one size.
std::uint64_t tensors(int count, std::uint64_t numbers, std::size_t element) {
  return number(count) * allocator::rounded(numbers * element);
}

// Products hold a strip of x in the form that they take.
std::uint64_t linear_scratch(std::uint64_t rows, std::initializer_list<int> widths) {
  std::uint64_t sum = 0;
  for (const int width : widths) {
    sum += tensors(1, std::min<std::uint64_t>(rows, cpu::kLinearStripRows) * number(width),
                   sizeof(float));
  }
  return sum;
}

// Keys and values packed for some heads at a time, and the scores of every thread.
std::uint64_t attention_scratch(std::uint64_t keys, std::uint64_t channels) {
  constexpr std::uint64_t kPacked = std::uint64_t{64} << 20;
  constexpr std::uint64_t kTask = std::uint64_t{1} << 20;
  return std::min(kPacked, 2 * keys * channels * sizeof(float)) +
         number(num_threads()) * std::min(kTask, keys * keys * sizeof(float));
}

// A resnet whose input is `before` channels wide: the input, that normalised, what the first
// convolution makes of it; or, without a change of width, three of that width.
std::uint64_t resnet_bytes(std::uint64_t pixels, int before, int channels, std::size_t element) {
  if (before == channels) return tensors(3, pixels * number(channels), element);
  const std::uint64_t narrow = tensors(1, pixels * number(channels), element);
  const std::uint64_t wide = tensors(1, pixels * number(before), element);
  return std::max(2 * wide + narrow, wide + 3 * narrow);
}

// Convolutions hold a strip of x in the form that products take.
constexpr std::uint64_t kConvolutionScratch = cpu::kConvStripWords * sizeof(float);

// Of the size of the latents with the channels that the middle of the VAE has.
std::uint64_t latent_tensors(const VaeConfig& c, int width, int height, int count,
                             std::size_t element) {
  const std::uint64_t pixels = number(width / c.scale()) * number(height / c.scale());
  return tensors(count, pixels * number(c.block_out_channels.back()), element);
}

}  // namespace

std::uint64_t transformer_tensor_bytes(const TransformerConfig& c, const SequenceLength& tokens,
                                       int captions, Dtype compute) {
  const std::size_t element = size_of(compute);
  const std::uint64_t length = number(static_cast<int>(tokens.total()));
  const std::uint64_t rows = number(captions) * length;
  const std::uint64_t image = number(static_cast<int>(tokens.image));
  const std::uint64_t dim = number(c.dim), angles = number(c.head_dim());  // cos and sin of pairs
  return tensors(6, rows * dim, sizeof(float)) +                           // streams and branches
         tensors(5, rows * dim, element) +                  // normed, q, k, v, attended
         tensors(3, rows * number(c.ffn_dim()), element) +  // gate, up, their product
         tensors(1, image * dim, sizeof(float)) +           // embedded
         number(captions) * (2 * length + image) * angles * sizeof(float) +
         number(captions) * (length - image) * dim * sizeof(float) +
         linear_scratch(rows, {c.dim, c.ffn_dim()}) + attention_scratch(length, dim);
}

std::uint64_t controlnet_tensor_bytes(const TransformerConfig& c, const SequenceLength& tokens,
                                      int captions, Dtype compute) {
  const std::uint64_t rows = number(captions) * number(static_cast<int>(tokens.total()));
  // Inputs embedded, its own stream beside the transformer's, the hint, its input to a projection.
  return tensors(4, rows * number(c.dim), sizeof(float)) +
         tensors(1, rows * number(c.dim), size_of(compute));
}

std::uint64_t adapter_tensor_bytes(const TransformerConfig& c, const SequenceLength& tokens,
                                   int captions) {
  const std::uint64_t rows = number(captions) * number(static_cast<int>(tokens.total()));
  // A strip in f32; the change of a part of it, as it is summed and as it is rounded.
  const std::uint64_t strip = std::min<std::uint64_t>(rows, kAdaptedStripRows);
  return tensors(1, strip * number(c.ffn_dim()), sizeof(float)) +
         tensors(3, std::min<std::uint64_t>(strip, 512) * number(c.ffn_dim()), sizeof(float));
}

std::uint64_t text_encoder_tensor_bytes(const TextEncoderConfig& c, std::int64_t tokens,
                                        Dtype compute) {
  const std::size_t element = size_of(compute);
  const std::uint64_t rows = number(static_cast<int>(tokens));
  const int heads = c.num_attention_heads * c.head_dim;
  return tensors(5, rows * number(c.hidden_size), sizeof(float)) +
         tensors(2, rows * number(c.hidden_size), element) +
         tensors(6, rows * number(heads), element) +
         tensors(3, rows * number(c.intermediate_size), element) +
         linear_scratch(rows, {c.hidden_size, heads, c.intermediate_size}) +
         attention_scratch(rows, number(heads));
}

std::uint64_t vae_decoder_tensor_bytes(const VaeConfig& c, int width, int height, int tile,
                                       Dtype compute) {
  if (tile > 0) {
    const int side = tile * c.scale();
    const std::uint64_t pixels = number(width) * number(height);
    return vae_decoder_tensor_bytes(c, std::min(width, side), std::min(height, side), 0, compute) +
           latent_tensors(c, width, height, 2, size_of(compute)) +  // what is cut, and a tile of it
           tensors(1, pixels * number(c.out_channels), sizeof(float)) +
           tensors(1, number(side) * number(side) * number(c.out_channels), sizeof(float));
  }
  const std::size_t element = size_of(compute);
  const auto& channels = c.block_out_channels;
  const int stages = static_cast<int>(channels.size());
  std::uint64_t most = 0;
  for (int i = 0; i < stages; ++i) {  // from full size down
    const std::uint64_t pixels = number(width >> i) * number(height >> i);
    most = std::max(
        most, resnet_bytes(pixels, channels[std::min(i + 1, stages - 1)], channels[i], element));
    if (i > 0) {  // enlarged and convolved in one
      most = std::max(most, tensors(1, pixels * number(channels[i]), element) +
                                tensors(1, 4 * pixels * number(channels[i]), element));
    }
  }
  return most + kConvolutionScratch;
}

std::uint64_t vae_encoder_tensor_bytes(const VaeConfig& c, int width, int height, int tile,
                                       Dtype compute) {
  const std::size_t element = size_of(compute);
  if (tile > 0) {
    const int side = tile * c.scale();
    const std::uint64_t pixels = number(width) * number(height);
    return vae_encoder_tensor_bytes(c, std::min(width, side), std::min(height, side), 0, compute) +
           latent_tensors(c, width, height, 1, sizeof(float)) +
           tensors(1, pixels * number(c.in_channels), sizeof(float)) +
           tensors(1, pixels * number(c.in_channels), element);
  }
  const auto& channels = c.block_out_channels;
  std::uint64_t most = 0;
  for (int i = 0; i < static_cast<int>(channels.size()); ++i) {  // from full size down
    const std::uint64_t pixels = number(width >> i) * number(height >> i);
    most = std::max(most, resnet_bytes(pixels, channels[std::max(i - 1, 0)], channels[i], element));
  }
  const std::uint64_t pixels = number(width) * number(height);
  return most + tensors(1, pixels * number(c.in_channels), sizeof(float)) +  // what is encoded
         tensors(1, pixels * number(c.in_channels), element) + kConvolutionScratch;
}

}  // namespace zimage
