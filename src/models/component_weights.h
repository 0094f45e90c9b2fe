#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "layers/weights.h"
#include "models/checkpoint_file.h"
#include "models/checkpoint_names.h"
#include "models/snapshot.h"

namespace zimage {

// The weights of "transformer", "text_encoder" or "vae" under diffusers' and transformers' names,
// whatever the checkpoint calls them; other components' tensors in the same file are left out.
// Mapped, not read. Throws Error for broken files and for a name that appears twice.
WeightMap load_weights(const Snapshot& snapshot, const std::string& component);

inline constexpr std::string_view kControlNetwork = "controlnet";  // as a component

// The files of a control network, whose manifest lies in `folder` where it is in MLX's formats.
WeightMap load_control_weights(const std::vector<std::filesystem::path>& files,
                               const std::filesystem::path& folder);

// One tensor of a component as load_weights() finds it, by the files' headers alone.
struct StoredTensor {
  std::string name;  // canonical
  Dtype dtype;
  Shape shape;
  bool is_aligned;  // can be used in place
  bool is_scaled;   // has a factor beside it, so that it is converted in any case
  // Of weights in a format of their own (ops::WeightRows), whose dtype tells nothing:
  std::string format = {};  // its name
  std::uint64_t bytes = 0;  // that they take in the file and in memory
};
// By the name in the file, as far as one tensor alone tells.
StoredTensor stored_tensor(const std::string& name, const CheckpointFile::Entry& entry);
std::vector<StoredTensor> stored_tensors(const Snapshot& snapshot, const std::string& component);
// Those of a component, or of a control network, that is in a file with others: by their names
// there, each once.
std::map<std::string, StoredTensor> stored_tensors(const CheckpointFile& file,
                                                   const std::filesystem::path& path,
                                                   const std::string& component,
                                                   const std::vector<TensorSource>& sources);
std::vector<StoredTensor> stored_control_tensors(const std::vector<std::filesystem::path>& files,
                                                 const std::filesystem::path& folder);

}  // namespace zimage
