#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "zimage/options.h"

namespace zimage::cli {

// A flag for every option of visit_options(). Values are checked as they are parsed and applied
// later, on top of the model's own defaults.
class OptionFlags {
 public:
  using Names = std::set<std::string_view>;
  // All but those `without`.
  explicit OptionFlags(CLI::App& app, const Names& without = {});
  OptionFlags(const OptionFlags&) = delete;
  OptionFlags& operator=(const OptionFlags&) = delete;

  bool is_given(const std::string& name) const { return given_.contains(name); }
  void apply(GenerateOptions& options) const;

 private:
  void choose_step_cache(GenerateOptions& options) const;

  std::map<std::string, std::string> given_;  // name -> text
};

}  // namespace zimage::cli
