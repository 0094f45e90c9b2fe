// An adapter file (LoRA and its kin): what it changes, and whether that fits a model.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "io/mapped_file.h"
#include "layers/adapters.h"
#include "models/adapter_names.h"

namespace zimage {

// What adapter_config.json (PEFT) or the file's own metadata (diffusers) say.
struct AdapterSettings {
  std::optional<double> alpha = {};             // lora_alpha
  std::optional<double> rank = {};              // r
  std::map<std::string, double> alpha_of = {};  // alpha_pattern, by the end of a module's name
  bool is_rank_stabilized = false;              // alpha / sqrt(rank)
  bool is_peft_lokr = false;                    // PEFT scales whole LoKr matrices, too

  // `prefix` stands in front of the keys ("transformer.").
  static AdapterSettings from_json(const Json& json, const std::string& prefix = "");
};

// The tensors of one module of a file.
struct AdapterModule {
  std::string name;  // as the file has it
  std::map<AdapterPart, Tensor> parts;
};

struct AdapterFile {
  std::string where;                       // for messages
  std::vector<AdapterModule> modules;      // by name
  std::vector<std::string> other_tensors;  // whose names have no ending of adapters
  AdapterSettings settings;
  std::shared_ptr<const MappedFile> file;
};

// By name alone. Throws Error for two tensors that are the same part of one module.
AdapterFile sort_adapter(const std::map<std::string, Tensor>& tensors, AdapterSettings settings,
                         const std::string& where);
// A .safetensors file with what lies beside it. Throws Error for a file that is no adapter.
AdapterFile open_adapter(const std::filesystem::path& path);

// What the parts of a module are together.
struct AdapterChange {
  std::string kind;       // "LoRA", "DoRA", "LoKr", "LoHa", "diff"
  std::int64_t rank = 0;  // 0: whole matrices
  ModuleAdapter adapter;  // for all of the file's module, scale 1
  Shape shape;  // of the weight that it is for, [out, in] or [n]; [out, 0] for biases alone
};

// Throws Error naming the module for parts that lack or do not fit each other, and for numbers that
// are not finite or of no floating-point type.
AdapterChange read_change(const AdapterModule& module, const AdapterSettings& settings,
                          const std::string& where);

}  // namespace zimage
