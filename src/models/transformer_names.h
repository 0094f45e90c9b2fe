// The two ways of naming a transformer's tensors: diffusers', and the original one that ComfyUI
// keeps, which has q, k and v in one tensor.
#pragma once

#include <string>
#include <vector>

namespace zimage {

// diffusers' names of what a tensor with an original name holds, in the order of its rows: the
// three of a fused qkv, else one. A name that is the same in both ways stays.
std::vector<std::string> diffusers_names(const std::string& original);

// A tensor with an original name and diffusers' names of what it holds, in the order of its rows.
struct OriginalTensor {
  std::string name;
  std::vector<std::string> parts;
};

// What tensors with diffusers' names become, in the order of the first part of each.
std::vector<OriginalTensor> original_names(const std::vector<std::string>& diffusers);

}  // namespace zimage
