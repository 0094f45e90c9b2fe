#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "input_flags.h"
#include "zimage/image.h"

namespace zimage::cli {

// --image, --mask and --outpaint: the picture that a run starts from.
class PictureFlags : public InputFlags {
 public:
  explicit PictureFlags(CLI::App& app);

  void read(GenerateOptions& options, ProgressDisplay& display) const override;
  void choose_network(ModelOptions&) const override {}
  void fit(const OptionFlags& flags, GenerateOptions& options) const override;
  void finish(GenerateOptions& options, ProgressDisplay& display) const override;
  void note_in(nlohmann::ordered_json& record) const override;

 private:
  std::string image_, mask_, outpaint_;
};

// A picture file whose transparency is left out, with a note that says so.
Image read_opaque(const std::string& path, ProgressDisplay& display);

// A mask file; its transparent pixels count as black: they are kept.
Image read_mask(const std::string& path);

// Width and height where they were not given: those of `picture` in multiples of 16, made smaller
// where it has more than twice the pixels of the model's own size. Throws UsageError when that is
// too small.
void fit_size(const Image& picture, const std::string& path, const OptionFlags& flags,
              GenerateOptions& options);

// Says it where a picture is resized, and when that stretches it.
void note_size(const Image& picture, const std::string& path, const GenerateOptions& options,
               ProgressDisplay& display);

// What of a path goes into records.
std::string file_name(const std::string& path);

}  // namespace zimage::cli
