// How llama.cpp names the tensors of a Qwen3 text encoder in GGUF files.
#pragma once

#include <set>
#include <string>

namespace zimage {

// Whether these are the names of a Qwen3: blk.0.attn_q.weight with norms of its own, which other
// language models do not have.
bool has_llama_names(const std::set<std::string>& names);

// transformers' name ("model.layers.0.self_attn.q_proj.weight") of one of llama.cpp's; another name
// stays.
std::string qwen3_name_of_llama(const std::string& name);

}  // namespace zimage
