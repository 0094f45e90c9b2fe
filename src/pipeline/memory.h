#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/snapshot.h"
#include "text_encoder/text_encoder.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

struct MemoryRequest {
  const Snapshot& snapshot;
  Dtype compute;
  const TextEncoderConfig& text_encoder;
  const TransformerConfig& transformer;
  const VaeConfig& vae;
  int width, height;                   // pixels
  int tokens;                          // of the longest prompt
  int prompts = 1;                     // that the transformer sees in one pass
  bool has_image;                      // which the VAE encodes first
  bool has_control;                    // a control network runs beside the transformer
  std::uint64_t control_weight_bytes;  // of its weights that are converted
};

struct StageMemory {
  std::string stage;           // "text encoder", "vae encoder", "transformer", "vae"
  std::uint64_t weight_bytes;  // weights converted to another dtype; mapped ones can leave memory
  std::uint64_t tensor_bytes;  // activations, an upper estimate
  std::uint64_t bytes() const { return weight_bytes + tensor_bytes; }
};

// Memory that must stay resident, stage by stage; stages follow each other.
std::vector<StageMemory> estimate_memory(const MemoryRequest& request);

// What this process may still take: MemAvailable, capped by the cgroup; the largest value if
// unknown.
std::uint64_t available_memory();

// Whether every stage has what it needs.
bool is_enough(const MemoryRequest& request, std::uint64_t available);

// Throws Error naming the stage that needs more than is available.
void check_memory(const MemoryRequest& request);

}  // namespace zimage
