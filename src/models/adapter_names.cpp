#include "models/adapter_names.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "layers/module_name.h"
#include "models/transformer_names.h"

namespace zimage {
namespace {

struct Ending {
  std::string_view text;
  AdapterPart part;
};
using Part = AdapterPart;

// Tried in this order; where one is the end of another the longer one comes first.
constexpr std::array kEndings{
    Ending{".lora_A.weight", Part::kDown},
    Ending{".lora_A.default.weight", Part::kDown},
    Ending{".lora_down.weight", Part::kDown},
    Ending{".lora.down.weight", Part::kDown},
    Ending{".lora_A", Part::kDown},
    Ending{".lora_B.weight", Part::kUp},
    Ending{".lora_B.default.weight", Part::kUp},
    Ending{".lora_up.weight", Part::kUp},
    Ending{".lora.up.weight", Part::kUp},
    Ending{".lora_B", Part::kUp},
    Ending{".lora_B.bias", Part::kUpBias},
    Ending{".lora_B.default.bias", Part::kUpBias},
    Ending{".lora_up.bias", Part::kUpBias},
    Ending{".lora_mid.weight", Part::kMid},
    Ending{".alpha", Part::kAlpha},
    Ending{".dora_scale", Part::kMagnitude},
    Ending{".lora_magnitude_vector", Part::kMagnitude},
    Ending{".lora_magnitude_vector.weight", Part::kMagnitude},
    Ending{".lora_magnitude_vector.default", Part::kMagnitude},
    Ending{".lora_magnitude_vector.default.weight", Part::kMagnitude},
    Ending{".lokr_w1", Part::kLokrW1},
    Ending{".lokr_w1_a", Part::kLokrW1A},
    Ending{".lokr_w1_b", Part::kLokrW1B},
    Ending{".lokr_w2", Part::kLokrW2},
    Ending{".lokr_w2_a", Part::kLokrW2A},
    Ending{".lokr_w2_b", Part::kLokrW2B},
    Ending{".lokr_t2", Part::kLokrT2},
    Ending{".hada_w1_a", Part::kHadaW1A},
    Ending{".hada_w1_b", Part::kHadaW1B},
    Ending{".hada_w2_a", Part::kHadaW2A},
    Ending{".hada_w2_b", Part::kHadaW2B},
    Ending{".hada_t1", Part::kHadaT1},
    Ending{".hada_t2", Part::kHadaT2},
    Ending{".diff", Part::kDiff},
    Ending{".diff_b", Part::kDiffBias},
};

// In front of the names of a text encoder's modules.
constexpr std::array<std::string_view, 8> kTextEncoder{
    "text_encoder.", "text_encoders.", "text_encoder_", "lora_te_",
    "lora_te1_",     "lycoris_text_",  "te_",           "cond_stage_model."};

// Left out wherever they stand in front, one after the other.
constexpr std::array<std::string_view, 11> kPrefixes{"base_model.model.",
                                                     "model.diffusion_model.",
                                                     "diffusion_model.",
                                                     "transformer.",
                                                     "default.",
                                                     "unet.",
                                                     "lora_unet_",
                                                     "lora_transformer_",
                                                     "lycoris_",
                                                     "diffusion_model_",
                                                     "model."};

// Words of underscored names; where one starts another the longer one comes first.
constexpr std::array<std::string_view, 52> kWords{
    "single_transformer_blocks",
    "transformer_blocks",
    "noise_refiner",
    "context_refiner",
    "layers",
    "attention_norm1",
    "attention_norm2",
    "ffn_norm1",
    "ffn_norm2",
    "attention",
    "self_attn",
    "attn1",
    "attn",
    "to_out",
    "to_qkv",
    "to_q",
    "to_k",
    "to_v",
    "out",
    "qkv",
    "norm_q",
    "norm_k",
    "q_norm",
    "k_norm",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "feed_forward",
    "ff",
    "net",
    "gate_proj",
    "up_proj",
    "down_proj",
    "proj",
    "w1",
    "w2",
    "w3",
    "adaLN_modulation",
    "all_x_embedder",
    "x_embedder",
    "all_final_layer",
    "final_layer",
    "linear",
    "cap_embedder",
    "t_embedder",
    "mlp",
    "down_blocks",
    "up_blocks",
    "2-1",
    "2_1",
    "weight",
};

struct Row {
  std::string_view from, to;
};
// In front.
constexpr std::array kBlocks{
    Row{"single_transformer_blocks.", "layers."},
    Row{"transformer_blocks.", "layers."},
    Row{"down_blocks.", "layers."},
    Row{"up_blocks.", "layers."},
    Row{"all_x_embedder.2_1", "x_embedder"},
    Row{"all_x_embedder.2-1", "x_embedder"},
    Row{"all_final_layer.2_1.", "final_layer."},
    Row{"all_final_layer.2-1.", "final_layer."},
};
// At the end.
constexpr std::array kComponents{
    Row{".attn.to_out.0", ".attention.out"},
    Row{".attn.to_out", ".attention.out"},
    Row{".attn.to_q", ".attention.to_q"},
    Row{".attn.to_k", ".attention.to_k"},
    Row{".attn.to_v", ".attention.to_v"},
    Row{".attn.to_qkv", ".attention.qkv"},
    Row{".attn.qkv", ".attention.qkv"},
    Row{".attn1.to_out.0", ".attention.out"},
    Row{".attn1.to_out", ".attention.out"},
    Row{".attn1.to_q", ".attention.to_q"},
    Row{".attn1.to_k", ".attention.to_k"},
    Row{".attn1.to_v", ".attention.to_v"},
    Row{".self_attn.q_proj", ".attention.to_q"},
    Row{".self_attn.k_proj", ".attention.to_k"},
    Row{".self_attn.v_proj", ".attention.to_v"},
    Row{".self_attn.o_proj", ".attention.out"},
    Row{".attention.to.q", ".attention.to_q"},
    Row{".attention.to.k", ".attention.to_k"},
    Row{".attention.to.v", ".attention.to_v"},
    Row{".attention.to_out.0", ".attention.out"},
    Row{".attention.to_out", ".attention.out"},
    Row{".attention.out.0", ".attention.out"},
    Row{".attention.to_qkv", ".attention.qkv"},
    Row{".attention.norm_q", ".attention.q_norm"},
    Row{".attention.norm_k", ".attention.k_norm"},
    Row{".ff.net.0.proj", ".feed_forward.w1"},
    Row{".ff.net.2", ".feed_forward.w2"},
    Row{".mlp.gate_proj", ".feed_forward.w1"},
    Row{".mlp.down_proj", ".feed_forward.w2"},
    Row{".mlp.up_proj", ".feed_forward.w3"},
};

bool has_prefix(std::string_view name, std::string_view prefix) { return name.starts_with(prefix); }

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// The length of the first word or number of an underscored name, 0 for none.
std::size_t first_word(std::string_view name) {
  const auto ends_at = [&](std::size_t n) { return n == name.size() || name[n] == '_'; };
  for (const std::string_view word : kWords) {
    if (name.starts_with(word) && ends_at(word.size())) return word.size();
  }
  std::size_t digits = 0;
  while (digits < name.size() && is_digit(name[digits])) ++digits;
  return digits > 0 && ends_at(digits) ? digits : 0;
}

// "layers_0_attention_to_out_0" -> "layers.0.attention.to_out.0"; "" where a word is not known.
std::string dotted(std::string_view name) {
  std::string result;
  while (!name.empty()) {
    const std::size_t n = first_word(name);
    if (n == 0) return "";
    if (!result.empty()) result += '.';
    result += name.substr(0, n);
    name.remove_prefix(std::min(n + 1, name.size()));
  }
  return result;
}

std::string without_prefixes(std::string name) {
  for (bool is_changed = true; is_changed;) {
    is_changed = false;
    for (const std::string_view prefix : kPrefixes) {
      if (!name.starts_with(prefix)) continue;
      name.erase(0, prefix.size());
      is_changed = true;
      break;
    }
  }
  return name;
}

bool is_of_text_encoder(std::string name) {
  for (const std::string_view prefix : {"base_model.model.", "default."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  return std::any_of(kTextEncoder.begin(), kTextEncoder.end(),
                     [&](std::string_view prefix) { return has_prefix(name, prefix); });
}

// With the original names of the checkpoint, which transformer_names.h knows.
std::string original_module(std::string name) {
  for (const auto& [from, to] : kBlocks) {
    if (!name.starts_with(from)) continue;
    name = std::string(to) + name.substr(from.size());
    break;
  }
  for (const auto& [from, to] : kComponents) {
    if (!name.ends_with(from)) continue;
    name = name.substr(0, name.size() - from.size()) + std::string(to);
    break;
  }
  return name;
}

bool is_known(std::string_view name) {
  constexpr std::array<std::string_view, 7> kRoots{
      "layers.",      "noise_refiner.", "context_refiner.", "x_embedder",
      "final_layer.", "cap_embedder.",  "t_embedder."};
  return std::any_of(kRoots.begin(), kRoots.end(),
                     [&](std::string_view root) { return has_prefix(name, root); });
}

}  // namespace

std::string_view name_of(AdapterPart part) {
  for (const auto& [text, of] : kEndings) {
    if (of == part) return text.substr(1, text.find('.', 1) - 1);
  }
  return "";
}

std::optional<AdapterKey> parse_adapter_key(const std::string& name) {
  for (const auto& [text, part] : kEndings) {
    if (name.size() > text.size() && name.ends_with(text)) {
      return AdapterKey{name.substr(0, name.size() - text.size()), part};
    }
  }
  return {};
}

std::optional<AdapterTarget> adapter_target(const std::string& module) {
  if (is_of_text_encoder(module)) {
    return AdapterTarget{.kind = AdapterTarget::Kind::kTextEncoder, .modules = {}};
  }
  std::string name = without_prefixes(module);
  if (name.find('.') == name.npos) name = dotted(name);
  AdapterTarget target;
  target.is_ambiguous = name.ends_with("_proj");
  name = original_module(name);
  if (!is_known(name)) return {};
  for (const std::string& full : diffusers_names(name + std::string(kWeightEnding))) {
    target.modules.push_back(module_of(full));
  }
  return target;
}

}  // namespace zimage
