#pragma once

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

}  // namespace zimage
