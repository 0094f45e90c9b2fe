#pragma once

#include <nlohmann/json.hpp>

#include "option_flags.h"
#include "progress.h"
#include "zimage/pipeline.h"

namespace zimage::cli {

// The pictures that a run gets: what `generate` and `control` have of their own.
class InputFlags {
 public:
  InputFlags() = default;
  InputFlags(const InputFlags&) = delete;
  InputFlags& operator=(const InputFlags&) = delete;
  virtual ~InputFlags() = default;

  // Reads the files into the options; notes go to `display`. Throws UsageError for flags that need
  // another one, Error for a file that is no picture.
  virtual void read(GenerateOptions& options, ProgressDisplay& display) const = 0;
  virtual void choose_network(ModelOptions& options) const = 0;
  // Once the model's own size is known: width and height where they were not given, from the
  // pictures.
  virtual void fit(const OptionFlags& flags, GenerateOptions& options) const = 0;
  // Once the options are checked: says what is resized, makes maps of photos.
  virtual void finish(GenerateOptions& options, ProgressDisplay& display) const = 0;
  virtual void note_in(nlohmann::ordered_json& record) const = 0;  // what was given
};

}  // namespace zimage::cli
