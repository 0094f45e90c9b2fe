#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// Trimmed and in lower case; empty: no variant asked for.
std::string normalized_variant(std::string_view variant);

// `variant` (normalized) occurs in a file name as a word of its own, between characters that are
// neither letter nor digit: model.fp16-00001-of-00002 matches fp16, model.fp16x does not.
bool matches_variant(std::string_view file_name, std::string_view variant);

struct WeightFiles {
  std::vector<std::filesystem::path> files;  // shards in order; empty when there are none
  std::string note;                          // says which set was taken when there was a choice
};

// The weight files of a component folder. `base` is the plain file name without .safetensors
// ("diffusion_pytorch_model", "model"). Order of preference, diffusers' and the reference system's:
// the variant's index, other indexes that match it, the plain index, then the folder's files. Sets
// of shards are never mixed. Throws Error for an index that names files outside the folder, and for
// a set that lacks some of its shards.
WeightFiles find_weight_files(const std::filesystem::path& folder, const std::string& base,
                              const std::string& variant);

}  // namespace zimage
