#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/control_files.h"
#include "models/resolve.h"
#include "pipeline/adapters.h"
#include "pipeline/int8_choice.h"
#include "pipeline/memory.h"
#include "pipeline/option_limits.h"
#include "scheduler/flow_match_euler.h"
#include "text_encoder/text_encoder.h"
#include "tokenizer/tokenizer.h"
#include "transformer/controlnet.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

// A tokenizer and the file it was read from, links followed.
struct SharedTokenizer {
  std::filesystem::path file;
  std::shared_ptr<const Tokenizer> tokenizer;
};

// What a pipeline keeps of its model: where everything is, the configurations and the tokenizer.
// Weights are mapped stage by stage.
struct LoadedModel {
  // Throws Error naming the file that is missing or wrong, or components that do not fit each
  // other. `known`: a tokenizer that may be the model's.
  LoadedModel(ResolvedModel model, std::optional<ControlFiles> control,
              const std::vector<ChosenAdapter>& adapters, const PipelineOptions& options,
              const SharedTokenizer& known = {});

  // "transformer", "text_encoder" or "vae", with the choice of eight bits made and with adapters.
  WeightMap load_weights(const std::string& component) const;

  OptionLimits limits() const;
  // Of the updates that the options ask for.
  std::vector<float> sigmas(const GenerateOptions& options) const;
  // Throws UsageError, and Error for a prompt that is no UTF-8.
  void check_picture(const GenerateOptions& options) const;
  // Throws the same, also for control inputs, and Error for too little memory.
  void check_options(const GenerateOptions& options) const;
  // Tokens that are read of the longest prompt, or may be when there is none.
  int longest_prompt(const GenerateOptions& options) const;
  // For options that are checked. Throws Error for too little memory.
  MemoryPlan plan_memory(const GenerateOptions& options) const;

  Snapshot snapshot;
  Family family;
  int threads;
  std::uint64_t max_memory;  // bytes; 0: what the system has
  Dtype compute;
  Int8Choice int8;
  SharedTokenizer tokenizer;
  TextEncoderConfig text_encoder;
  TransformerConfig transformer;
  VaeConfig vae;
  SchedulerConfig scheduler;
  std::optional<ControlFiles> control_files;
  std::optional<ControlNetConfig> control;
  LoadedAdapters adapters;

 private:
  void check_fit() const;
  void check_control(const ControlInputs& inputs) const;
};

}  // namespace zimage
