#pragma once

#include <memory>

#include "pipeline/stages.h"

namespace zimage {

struct DrawnLatents {
  Tensor latents;
  Drawing how;
};

// The transformer at work on the pictures of a request, with a control network where there is one.
// What it is made from outlives it.
class DenoisingStage {
 public:
  DenoisingStage(const LoadedModel& model, const GenerateOptions& options, const MemoryPlan& memory,
                 const Inputs& inputs);
  ~DenoisingStage();

  // Picture `image`, counted from 0. Loads what is not loaded.
  DrawnLatents draw(int image);
  // Gives all weights back, until the next picture.
  void unload();

 private:
  struct Loaded;

  const LoadedModel& model_;
  const GenerateOptions& options_;
  const StageMemory& memory_;
  const Inputs& inputs_;
  std::unique_ptr<const Loaded> loaded_;
};

}  // namespace zimage
