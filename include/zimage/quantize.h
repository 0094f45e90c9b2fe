#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "zimage/models.h"

namespace zimage {

struct QuantizeOptions {
  // Weights that stay in bf16, by a part of their names between dots ("layers.0").
  std::vector<std::string> keep = {};
  ModelOptions model = {};  // how the model is found
  std::function<void(int done, int tensors)> on_progress = {};
};

// Writes the transformer of a model to one .safetensors file with ComfyUI's names: the products of
// the main layers in its int8_tensorwise format with convrot, all else in bf16. Memory: one weight
// at a time. Throws Error when the file cannot be written or the model has a fault.
void quantize_int8(const std::string& model, const std::filesystem::path& output,
                   const QuantizeOptions& options = {});

struct MlxOptions {
  std::string mode = "affine";                    // or "mxfp4", which has 4 bits in groups of 32
  int bits = 8;                                   // 4 or 8
  int group_size = 32;                            // channels that share a scale: 32, 64 or 128
  ModelOptions model = {};                        // how the model is found
  std::uint64_t max_shard_bytes = 4'500'000'000;  // of a file, unless a single tensor has more
  std::function<void(int done, int tensors)> on_progress = {};
  std::function<void(const std::string& tensor, bool is_quantized)> on_tensor = {};
};

// Writes a model as a new folder in MLX's format: the matrices of the transformer and the text
// encoder in groups with scales of f32, all other tensors, the VAE, the tokenizer and the texts as
// they are, quantization.json. Nothing is at `output` before all is done. Memory: one weight at a
// time. Throws Error for a model with a fault or one that is quantised already, an `output` that
// exists (an empty folder may), and a disk that is too full.
void quantize_mlx(const std::string& model, const std::filesystem::path& output,
                  const MlxOptions& options = {});

// The same for a control network: one file, controlnet_quantization.json. `control` is a file, a
// folder or a hub id; `file` picks one of several.
void quantize_control_mlx(const std::string& control, const std::string& file,
                          const std::filesystem::path& output, const MlxOptions& options = {});

}  // namespace zimage
