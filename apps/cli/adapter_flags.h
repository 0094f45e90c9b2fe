#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "option_flags.h"
#include "progress.h"
#include "zimage/pipeline.h"

namespace zimage::cli {

// --lora, --lora-file, --lora-scale, --lora-merge, --lora-strict.
class AdapterFlags {
 public:
  explicit AdapterFlags(CLI::App& app);
  AdapterFlags(const AdapterFlags&) = delete;
  AdapterFlags& operator=(const AdapterFlags&) = delete;

  // Throws UsageError for what cannot be read.
  void choose(PipelineOptions& options) const;
  // Says what was applied, and what a known adapter's recipe changed; `options` are final.
  void report(const Pipeline& pipeline, const OptionFlags& flags, const GenerateOptions& options,
              ProgressDisplay& display) const;

 private:
  std::vector<std::string> adapters_;
  std::string file_;
  std::optional<float> scale_;
  bool merge_ = false, strict_ = false;
};

}  // namespace zimage::cli
