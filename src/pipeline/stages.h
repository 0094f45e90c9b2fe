// The stages of a picture, each with its weights mapped only while it runs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/loaded_model.h"
#include "pipeline/pixels.h"
#include "pipeline/start.h"

namespace zimage {

// Throws Cancelled when the caller wants to stop.
void throw_if_cancelled(const GenerateOptions& options);
// Tells the caller where the work is; throws Cancelled as well.
void report(const GenerateOptions& options, const Progress& progress);

// Throws Error for weights that are missing, of another shape or of a type that cannot be read, so
// that they are not found after hours of denoising.
void check_weights(const LoadedModel& model, const GenerateOptions& options);

// Prompts to embeddings; keeps those of the last request, so that the next picture of the same text
// skips the encoder.
class PromptEncoder {
 public:
  // [tokens, hidden] f32 each: the prompt's, then the negative prompt's when guidance is on.
  std::vector<Tensor> encode(const LoadedModel& model, const GenerateOptions& options,
                             const MemoryPlan& memory);

 private:
  struct Encoded {
    std::vector<std::int32_t> ids;
    Tensor embeds;
  };
  std::vector<Encoded> encoded_;
};

// The part of a picture that stays as it is.
struct KeptPixels {
  Image original;  // of the size that is drawn
  Mask mask;
};

// What a request starts from, the same for all of its pictures.
struct Inputs {
  std::vector<Tensor> embeds;        // as PromptEncoder returns them
  std::optional<ImageSource> image;  // image to image
  Tensor control;                    // context of the control network; undefined without one
  std::optional<KeptPixels> kept;    // put back into the drawn picture
};

std::optional<ImageSource> encode_image(const LoadedModel& model, const GenerateOptions& options,
                                        const MemoryPlan& memory);
// Undefined without a control network, and where its scale is 0.
Tensor encode_control(const LoadedModel& model, const GenerateOptions& options,
                      const MemoryPlan& memory);
std::optional<KeptPixels> kept_pixels(const GenerateOptions& options);

Image decode(const LoadedModel& model, const GenerateOptions& options, const MemoryPlan& memory,
             int image, const Inputs& inputs, Tensor latents);

}  // namespace zimage
