#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zimage {

// What a stage of a run is expected to take.
struct StagePlan {
  std::string stage;               // "text encoder", "vae encoder", "transformer", "vae decoder"
  std::uint64_t peak_bytes = 0;    // resident set of the process, of which:
  std::uint64_t weight_bytes = 0;  //   weights, mapped or converted
  std::uint64_t tensor_bytes = 0;  //   activations
  int prompts = 1;                 // that go through the transformer together
  int layers = 0;                  // of those with weights of their own
  int kept_layers = 0;             // that stay in memory; others are read at each use
  std::uint64_t read_bytes = 0;    // of the others, at each use of all of them
  int tile = 0;                    // pixels per side of the VAE's tiles; 0: the picture in one
  double operations = 0;           // floating-point, two for a multiply-add
  double seconds = 0;              // of these:
  double read_seconds = 0;         //   reading weights from the disk that the system does not hold
};

// Stages follow each other; sums are over all steps and pictures.
struct RunPlan {
  std::vector<StagePlan> stages;
  std::uint64_t peak_bytes = 0;       // the largest stage's
  std::uint64_t limit_bytes = 0;      // PipelineOptions::max_memory, or less if there is less
  std::uint64_t available_bytes = 0;  // what the system has for this process
  double seconds = 0;                 // by the speed of this machine and its disk now
};

}  // namespace zimage
