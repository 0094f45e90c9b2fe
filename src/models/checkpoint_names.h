// Checkpoints name the same tensors in several ways; these are the ways, and the names of diffusers
// that stand for them here. Told by the tensors, never by the file's name.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// Where the tensors of one component are among the names of a checkpoint.
struct ComponentLayout {
  std::string component;        // "transformer", "text_encoder", "vae"
  std::string prefix;           // in front of its names: "", "model.diffusion_model.", "vae.", ...
  bool is_compvis_vae = false;  // decoder.up.3.block.0... as ComfyUI and CompVis have it
  bool is_llama = false;        // a text encoder with blk.0.attn_q... as llama.cpp has it
};

// The components found, at most one of each kind. Throws Error for a file with two candidates for
// one component, naming both prefixes. `where` is for messages.
std::vector<ComponentLayout> find_components(const std::set<std::string>& names,
                                             const std::string& where);

// One canonical tensor and where it comes from.
struct TensorSource {
  std::string name;         // as diffusers and transformers name it
  std::string stored;       // in the file
  int part = 0, parts = 1;  // of the rows of the stored tensor: a fused qkv has three
  // Names of what lies beside it, each empty where there is no such tensor:
  std::string scale;   // to multiply with: one number, one for each row or for groups of channels
  std::string bias;    // to add, for groups of channels
  std::string marker;  // JSON that tells the format
};

struct ComponentNames {
  std::vector<TensorSource> tensors;
  std::set<std::string> used;  // all stored names that belong to the component, helpers included
};

// Names under `layout`, made canonical. What ComfyUI and MLX store beside a weight is used or known
// to play no part (scale_input, the scaled_fp8 mark). Names that follow none of the ways stay.
ComponentNames canonical_names(const std::set<std::string>& names, const ComponentLayout& layout);

}  // namespace zimage
