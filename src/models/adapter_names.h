// The ways in which trainers name what an adapter (LoRA and its kin) changes, and the names of
// diffusers that stand for them here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// What a tensor of an adapter is to its module.
enum class AdapterPart {
  kDown,    // lora_A, lora_down
  kUp,      // lora_B, lora_up
  kUpBias,  // lora_B.bias
  kMid,     // lora_mid, of convolutions
  kAlpha,
  kMagnitude,  // dora_scale, lora_magnitude_vector
  kLokrW1,
  kLokrW1A,
  kLokrW1B,
  kLokrW2,
  kLokrW2A,
  kLokrW2B,
  kLokrT2,
  kHadaW1A,
  kHadaW1B,
  kHadaW2A,
  kHadaW2B,
  kHadaT1,
  kHadaT2,
  kDiff,
  kDiffBias,
};

std::string_view name_of(AdapterPart part);  // "lora_A", "lokr_w1", ...

// A tensor's name taken apart.
struct AdapterKey {
  std::string module;  // as the file has it, without the ending
  AdapterPart part;
};
// Nothing for a name with no ending that adapters have.
std::optional<AdapterKey> parse_adapter_key(const std::string& name);

// Where a module lies.
struct AdapterTarget {
  enum class Kind { kTransformer, kTextEncoder };
  Kind kind = Kind::kTransformer;
  // diffusers' names; three for a fused qkv, whose rows they share in this order.
  std::vector<std::string> modules;
  // By a naming that text encoders have as well, so that the shape has to decide.
  bool is_ambiguous = false;
};
// Nothing for a name that follows no known way. The module need not exist.
std::optional<AdapterTarget> adapter_target(const std::string& module);

}  // namespace zimage
