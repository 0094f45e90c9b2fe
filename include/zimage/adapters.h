#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "zimage/error.h"

namespace zimage {

// An adapter (LoRA, DoRA, LoKr, LoHa, full differences) for the transformer.
struct AdapterOptions {
  // A .safetensors file, a folder, or a hub id with or without ":revision". What starts with /, ./,
  // ../ or ~, or exists, is on this machine.
  std::string source;
  std::string file = {};  // in the folder or repository; needed where it holds several
  // Any finite number; 0 leaves the picture as it is, bit for bit. Not given: 1, or what the
  // adapter's recipe says.
  std::optional<float> scale = {};
};

// "SOURCE[:FILE][@SCALE]"; FILE ends with .safetensors. Throws UsageError.
AdapterOptions parse_adapter(const std::string& text);

// What the authors of a known adapter draw with.
struct AdapterRecipe {
  int steps;             // of the literal schedule
  float guidance_scale;  // as GenerateOptions has it
  float scale;           // of the adapter
};

// What came of an adapter.
struct AppliedAdapter {
  std::string name;  // as it was asked for, with the file's name
  std::string path;
  float scale = 1;
  int modules = 0, applied = 0;                      // of the file, and those that the model has
  std::map<std::string, int> kinds = {};             // "LoRA": 204; of those applied
  std::int64_t smallest_rank = 0, largest_rank = 0;  // 0: there are none
  std::vector<std::string> unmatched = {};           // modules and tensors that change nothing
  int for_text_encoder = 0;                          // of these
  // Modules left out because the file has the same under finer names, too: qkv beside q, k and v.
  std::vector<std::string> repeated = {};
  std::optional<AdapterRecipe> recipe = {};  // of a known adapter
};

// "lora.safetensors at 0.8: 204 of 204 modules (LoRA of rank 128)".
std::string report_of(const AppliedAdapter& adapter);

}  // namespace zimage
