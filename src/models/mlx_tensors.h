#pragma once

#include <optional>
#include <string>

#include "models/mlx_manifest.h"

namespace zimage {

// A weight in one of MLX's formats as its checkpoint has it.
struct StoredMlx {
  ops::MlxHeader header;
  std::string name, component;  // of the tensor of words, and of what it is part of
  std::string where;            // the checkpoint, for messages
};

// What the manifest says, checked against the shapes; without one what the shapes allow. Throws
// Error for tensors that do not fit, and where it takes a manifest to tell.
ops::MlxFormat mlx_format(const StoredMlx& stored, const std::optional<MlxManifest>& manifest);

}  // namespace zimage
