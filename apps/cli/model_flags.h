#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "progress.h"
#include "zimage/models.h"

namespace zimage::cli {

// --model, --weights-variant and the files that replace parts of a model.
class ModelFlags {
 public:
  explicit ModelFlags(CLI::App& app);
  ModelFlags(const ModelFlags&) = delete;
  ModelFlags& operator=(const ModelFlags&) = delete;

  const std::string& model() const { return model_; }
  // "turbo" where no model was given.
  std::string shown_model() const { return model_.empty() ? "turbo" : model_; }
  // Downloads show on `display` and stop on Ctrl-C.
  ModelOptions options(ProgressDisplay& display) const;

 private:
  std::string model_, weights_variant_, base_model_, transformer_, text_encoder_, vae_;
};

}  // namespace zimage::cli
