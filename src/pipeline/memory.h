#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/control_files.h"
#include "models/snapshot.h"
#include "text_encoder/text_encoder.h"
#include "transformer/controlnet.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

struct MemoryRequest {
  const Snapshot& snapshot;
  const std::optional<ControlFiles>& control_files;
  const std::optional<ControlNetConfig>& control;  // runs beside the transformer
  const AdapterSet* adapters;                      // of the transformer; null: none
  Dtype compute;
  const Int8Policy& int8;
  const TextEncoderConfig& text_encoder;
  const TransformerConfig& transformer;
  const VaeConfig& vae;
  int width, height;  // pixels
  int tokens;         // of the longest prompt
  int prompts;        // 2 with guidance
  bool is_limited;    // by PipelineOptions::max_memory, not by the system
  bool has_image;     // which the VAE encodes first
  int images = 1;     // that are drawn
};

// How a stage uses memory, and its expected peak.
struct StageMemory {
  std::string stage;                // "text encoder", "vae encoder", "transformer", "vae decoder"
  std::uint64_t base_bytes = 0;     // what the process has before: code, tokenizer, pictures
  std::uint64_t weight_bytes = 0;   // mapped pages and converted weights
  std::uint64_t tensor_bytes = 0;   // activations
  int layers = 0, kept_layers = 0;  // layers that stay in memory; others are read at each use
  std::uint64_t layer_bytes = 0;    // of those that stay (WeightMap::keep_layers)
  std::uint64_t control_layer_bytes = 0;  // the same of the control network
  int tile = 0;                           // latent pixels per side of the VAE's tiles; 0: none
  int prompts = 1;                        // that go through the transformer together
  std::uint64_t read_bytes = 0;           // of the layers that are read again at each use

  std::uint64_t bytes() const { return base_bytes + weight_bytes + tensor_bytes; }
};

// Stages follow each other; each leaves the memory to the next.
struct MemoryPlan {
  std::vector<StageMemory> stages;
  // While pictures are decoded, because the next one needs it and loading it is work; otherwise it
  // is loaded for each.
  bool keeps_transformer = false;

  const StageMemory& of(std::string_view stage) const;
  std::uint64_t peak_bytes() const;
};

// The fastest way to run within `limit` bytes of resident memory: weights stay where there is room.
// Throws Error naming the stage that has too little and the smallest limit that would do.
MemoryPlan plan_memory(const MemoryRequest& request, std::uint64_t limit);

// Says in the log where a plan reads layers again or works in tiles. scale: of the VAE.
void log_savings(const MemoryPlan& plan, int scale);

// "1.25 GiB".
std::string gib(std::uint64_t bytes);

// What a run may take: max_memory, or less where the system has less; 0: what the system has.
std::uint64_t memory_limit(std::uint64_t max_memory);

}  // namespace zimage
