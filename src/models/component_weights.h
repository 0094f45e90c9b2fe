#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "layers/weights.h"
#include "models/snapshot.h"

namespace zimage {

// The weights of "transformer", "text_encoder" or "vae" under diffusers' and transformers' names,
// whatever the checkpoint calls them; other components' tensors in the same file are left out.
// Mapped, not read. Throws Error for broken files and for a name that appears twice.
WeightMap load_weights(const Snapshot& snapshot, const std::string& component);

// One tensor of a component as load_weights() finds it, by the files' headers alone.
struct StoredTensor {
  std::string name;  // canonical
  Dtype dtype;
  Shape shape;
  bool is_aligned;  // can be used in place
  bool is_scaled;   // has a factor beside it, so that it is converted in any case
};
std::vector<StoredTensor> stored_tensors(const Snapshot& snapshot, const std::string& component);
// Those of any checkpoint files, under the names that they have there.
std::vector<StoredTensor> stored_tensors(const std::vector<std::filesystem::path>& files);

}  // namespace zimage
