#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "input_flags.h"
#include "zimage/control_map.h"

namespace zimage::cli {

// The flags that choose a control map: --control-type, --canny-low, --canny-high.
class ControlMapFlags {
 public:
  ControlMapFlags(CLI::App& app, const std::string& type_flag, const std::string& default_type);
  ControlMapFlags(const ControlMapFlags&) = delete;
  ControlMapFlags& operator=(const ControlMapFlags&) = delete;

  Image make(const Image& photo, int width, int height) const;
  void check() const { check_canny(canny_); }
  const std::string& type() const { return type_; }

 private:
  std::string type_;
  CannyOptions canny_;
};

// The flags of zimage control: its network and what that is shown.
class ControlFlags : public InputFlags {
 public:
  explicit ControlFlags(CLI::App& app);

  void read(GenerateOptions& options, ProgressDisplay& display) const override;
  void choose_network(ModelOptions& options) const override;
  void fit(const OptionFlags& flags, GenerateOptions& options,
           ProgressDisplay& display) const override;
  void finish(GenerateOptions& options) const override;
  void note_in(nlohmann::ordered_json& record) const override;

 private:
  std::string control_image_, inpaint_image_, mask_, weights_, file_;
  float scale_ = ControlInputs{}.scale;
  ControlMapFlags map_;
};

}  // namespace zimage::cli
