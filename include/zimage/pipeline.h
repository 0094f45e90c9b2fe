#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "zimage/adapters.h"
#include "zimage/error.h"
#include "zimage/image.h"
#include "zimage/models.h"
#include "zimage/plan.h"
#include "zimage/profile.h"

namespace zimage {

enum class ComputeDtype {
  kAuto,  // bf16, and int8 for the weights that the file has so
  kF32,
  kBf16,
  kInt8,  // bf16, and int8 for the products in the transformer's main layers
};
enum class Schedule {
  kTerminal,  // diffusers <= 0.38: `steps` points ending at sigma 0, steps - 1 updates
  kLiteral,   // diffusers >= 0.39: `steps` updates
};
enum class Rng {
  kTorch,  // torch's CPU generator
  kCuda,   // Philox, as torch draws on a CUDA device
};
// Updates that go without the transformer: what it gave earlier stands in. Each costs some quality.
enum class StepCache {
  kOff,
  kMask,       // those that a mask names
  kEasyCache,  // while the output is expected to have changed little (arXiv 2507.02860)
};

enum class Stage { kEncodingPrompt, kDenoising, kDecoding, kEncodingImage };

struct Progress {
  Stage stage;
  int image = 0, images = 1;  // image counts from 0
  int step = 0, steps = 0;    // updates done and in all, in kDenoising
};

// What a control network is shown; any size, resized to that of the picture.
struct ControlInputs {
  std::optional<Image> image = {};  // a map as the network was trained on: edges, depth, ...
  std::optional<Image> inpaint_image = {};  // the picture around the part that is repainted
  std::optional<Image> mask = {};           // repaint where it is 128 or brighter
  float scale = 0.75f;                      // of what the network adds; 0: nothing

  bool any() const { return image || inpaint_image || mask; }
};

struct GenerateOptions {
  std::string prompt;
  std::string negative_prompt;     // used only with guidance_scale > 0
  int width = 1024;                // pixels, a multiple of 16, at least 64
  int height = 1024;               // pixels, a multiple of 16, at least 64
  int steps = 9;                   // points of the schedule; terminal: steps - 1 updates
  float guidance_scale = 0.0f;     // pred = pos + scale * (pos - neg); 0: no guidance
  bool cfg_normalization = false;  // limit ||pred|| to factor * ||pos||
  float cfg_normalization_factor = 1.0f;
  double cfg_truncation = 1.0;  // 0 to 1: no guidance where 1 - sigma exceeds it
  Schedule schedule = Schedule::kTerminal;
  std::uint64_t seed = 0;  // picture i uses seed + i
  Rng rng = Rng::kTorch;
  int num_images = 1;
  int max_sequence_length = 512;  // prompt tokens, chat template included

  StepCache step_cache = StepCache::kOff;
  std::string step_cache_mask = {};    // a digit per update, 1: computed, 0: reused; 1 first
  double step_cache_threshold = 0.05;  // relative change up to which easycache reuses, above 0
  double step_cache_start = 0.15;      // 0 to 1: the part of the updates where easycache reuses,
  double step_cache_end = 0.95;        // start < end

  // Image to image: the picture, resized to width x height, is noised and drawn anew from there.
  std::optional<Image> image = {};
  // 0 to 1: the share of the schedule that is drawn. Not given: 0.6, with a mask 1.
  std::optional<double> strength = {};
  // Inpainting: only where this picture, resized like the other, is 128 or brighter.
  std::optional<Image> mask = {};
  bool no_composite = false;  // kept pixels as the VAE decodes them instead of the picture's own

  ControlInputs control = {};  // for pipelines with a control network (ModelOptions::controlnet)

  // Called at the start of every stage and after each update; may throw Cancelled to stop.
  std::function<void(const Progress&)> on_progress;
  // Asked between the transformer's blocks; true makes generate() throw Cancelled.
  std::function<bool()> is_cancelled;
  // Called at the end with where the time went; empty: nothing is measured. The peaks take half a
  // second more.
  std::function<void(const Profile&)> on_profile;
};

struct PipelineOptions {
  ComputeDtype dtype = ComputeDtype::kAuto;
  // With kInt8: weights that are not quantised, by a part of their names between dots.
  std::vector<std::string> int8_keep = {};
  int threads = 0;  // 0: all processors this process may use; in force during generate()
  // Bytes that the process may have resident, mapped weights included; 0: what the system has.
  // Where it is less than the weights need, layers are read again each time they are used.
  std::uint64_t max_memory = 0;
  ModelOptions model = {};  // how the model is found
  // Of the transformer; their changes add up.
  std::vector<AdapterOptions> adapters = {};
  bool merge_adapters = false;   // into the weights while they are loaded: copies of all of them
  bool strict_adapters = false;  // a name in a file that the model has no place for is an error
};

// How a picture was drawn.
struct Drawing {
  std::string updates;  // a digit per update, 1: the transformer ran, 0: earlier outputs stood in
};

// Text to image. Components are resident one after the other; weights are mapped, not read.
// One generate() at a time per Pipeline.
class Pipeline {
 public:
  // `model`: see ModelOptions; what is named and not on this machine is downloaded. Reads the
  // configurations and the tokenizer; weights are mapped when a picture needs them. Throws Error
  // naming the file that is missing or wrong.
  explicit Pipeline(const std::string& model, const PipelineOptions& options = {});
  ~Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;

  // Another model with other weights. Within a family the tokenizer stays loaded when it is the
  // same file. When it throws, the pipeline is as it was.
  void use_model(const std::string& model, const PipelineOptions& options = {});

  // Other adapters in place of those that there are: the fields about adapters of `options`, and
  // how they are found. Weights never change, so pictures are those of a new pipeline. When it
  // throws, the pipeline is as it was.
  void use_adapters(const PipelineOptions& options);
  const std::vector<AppliedAdapter>& adapters() const;

  // The preset of the model's family (Turbo: 9 steps, no guidance; Base: 50 steps, guidance 4), or
  // what an adapter's recipe says instead.
  GenerateOptions defaults() const;

  // "bf16", "f32", "int8", or with int8_keep "int8 (bf16: layers.0 feed_forward.w2)".
  std::string compute_dtype() const;

  // Throws what generate() would throw before its work starts: UsageError for an option out of
  // range, Error for too little memory or a prompt that is no UTF-8.
  void check_options(const GenerateOptions& options) const;

  // What generate() would take. Runs some operations for about a second to learn the machine's
  // speed. Here an empty prompt stands for the longest, and a control network needs no picture.
  // Throws what check_options() throws.
  RunPlan plan(const GenerateOptions& options) const;

  // Gives each picture to on_image as soon as it is decoded. Throws UsageError for an option out of
  // range; Error for broken files, too little memory or a non-finite value, naming the place;
  // Cancelled.
  void generate(const GenerateOptions& options,
                const std::function<void(int index, Image image, const Drawing& how)>& on_image);
  std::vector<Image> generate(const GenerateOptions& options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zimage
