#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <optional>
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
  void check() const;  // throws UsageError
  const std::string& type() const { return type_; }

 private:
  std::string type_;
  CannyOptions canny_;
  CLI::Option *low_ = nullptr, *high_ = nullptr;
};

// The flags of zimage control: its network and what that is shown.
class ControlFlags : public InputFlags {
 public:
  explicit ControlFlags(CLI::App& app);

  void read(GenerateOptions& options, ProgressDisplay& display) const override;
  void choose_network(ModelOptions& options) const override;
  void fit(const OptionFlags& flags, GenerateOptions& options) const override;
  void finish(GenerateOptions& options, ProgressDisplay& display) const override;
  void note_in(nlohmann::ordered_json& record) const override;

 private:
  struct Picture {
    const std::optional<Image>* picture;
    const std::string* path;
  };
  // The one whose pixels are kept comes first: it must not be stretched for the others' sake.
  std::array<Picture, 3> pictures(const ControlInputs& control) const;

  std::string control_image_, inpaint_image_, mask_, weights_, file_;
  float scale_ = ControlInputs{}.scale;
  ControlMapFlags map_;
};

}  // namespace zimage::cli
