#include "models/llama_names.h"

#include <array>
#include <string_view>
#include <utility>

namespace zimage {
namespace {

using Names = std::pair<std::string_view, std::string_view>;  // llama.cpp's, transformers'

constexpr std::array<Names, 11> kInLayer{{{"attn_norm", "input_layernorm"},
                                          {"attn_q", "self_attn.q_proj"},
                                          {"attn_k", "self_attn.k_proj"},
                                          {"attn_v", "self_attn.v_proj"},
                                          {"attn_output", "self_attn.o_proj"},
                                          {"attn_q_norm", "self_attn.q_norm"},
                                          {"attn_k_norm", "self_attn.k_norm"},
                                          {"ffn_norm", "post_attention_layernorm"},
                                          {"ffn_gate", "mlp.gate_proj"},
                                          {"ffn_up", "mlp.up_proj"},
                                          {"ffn_down", "mlp.down_proj"}}};
constexpr std::array<Names, 3> kOutside{
    {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}}};

template <std::size_t n>
std::string_view found_in(const std::array<Names, n>& table, std::string_view module) {
  for (const auto& [llama, transformers] : table) {
    if (llama == module) return transformers;
  }
  return "";
}

}  // namespace

bool has_llama_names(const std::set<std::string>& names) {
  return names.contains("token_embd.weight") && names.contains("blk.0.attn_q.weight") &&
         names.contains("blk.0.attn_q_norm.weight");
}

std::string qwen3_name_of_llama(const std::string& name) {
  constexpr std::string_view kBlock = "blk.";
  const auto end = name.rfind('.');  // of the module, before "weight" or "bias"
  if (end == name.npos) return name;
  const std::string_view module = std::string_view(name).substr(0, end);
  const std::string word = name.substr(end);
  if (!module.starts_with(kBlock)) {
    const std::string_view found = found_in(kOutside, module);
    return found.empty() ? name : std::string(found) + word;
  }
  const auto dot = module.find('.', kBlock.size());
  if (dot == module.npos) return name;
  const std::string_view found = found_in(kInLayer, module.substr(dot + 1));
  if (found.empty()) return name;
  const std::string layer(module.substr(kBlock.size(), dot - kBlock.size()));
  return "model.layers." + layer + "." + std::string(found) + word;
}

}  // namespace zimage
