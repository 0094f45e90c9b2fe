#include "adapter_flags.h"

#include <cmath>
#include <sstream>

namespace zimage::cli {
namespace {

// What is listed in "a, b, c".
class Listed {
 public:
  template <class Value>
  void add(const char* name, const Value& value) {
    text_ << (is_empty_ ? "" : ", ") << name << ' ' << value;
    is_empty_ = false;
  }
  bool is_empty() const { return is_empty_; }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  bool is_empty_ = true;
};

// One line about the settings that came from an adapter's recipe, one about those that differ.
void report_recipe(const AppliedAdapter& adapter, bool is_scale_given, const OptionFlags& flags,
                   const GenerateOptions& options, ProgressDisplay& display) {
  const AdapterRecipe& recipe = *adapter.recipe;
  Listed filled, overridden;
  const auto note = [&](const char* name, const auto& own, const auto& used, bool is_given) {
    if (!is_given) filled.add(name, own);
    if (is_given && own != used) overridden.add(name, used);
  };
  note("steps", recipe.steps, options.steps, flags.is_given("steps"));
  note("schedule", name_of(Schedule::kLiteral), name_of(options.schedule),
       flags.is_given("schedule"));
  note("guidance", recipe.guidance_scale, options.guidance_scale, flags.is_given("guidance"));
  note("scale", recipe.scale, adapter.scale, is_scale_given);
  if (!filled.is_empty()) {
    display.note(adapter.name + ": drawn as its authors advise: " + filled.text() +
                 " (their cfg 1 is guidance 0 here)");
  }
  if (!overridden.is_empty()) {
    display.print("warning: " + adapter.name + ": its authors advise other settings than " +
                  overridden.text());
  }
}

}  // namespace

AdapterFlags::AdapterFlags(CLI::App& app) {
  app.add_option("-l,--lora", adapters_,
                 "an adapter (LoRA, DoRA, LoKr, LoHa): a .safetensors file, a folder or a hub "
                 "id[:revision], then :FILE where it holds several, then @SCALE; may be repeated")
      ->type_name("ADAPTER")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--lora-file", file_, "the file to use, of the last --lora")->type_name("NAME");
  app.add_option("--lora-scale", scale_, "how strongly, of the last --lora; 1 when not given")
      ->type_name("F");
  app.add_flag("--lora-merge", merge_, "add adapters to the weights while they are loaded");
  app.add_flag("--lora-strict", strict_, "a name in an adapter without a place here is an error");
}

void AdapterFlags::choose(PipelineOptions& options) const {
  for (const std::string& text : adapters_) options.adapters.push_back(parse_adapter(text));
  options.merge_adapters = merge_;
  options.strict_adapters = strict_;
  if (adapters_.empty()) {
    const bool has_other = !file_.empty() || scale_ || merge_ || strict_;
    if (!has_other) return;
    const std::string flag = !file_.empty() ? "--lora-file"
                             : scale_       ? "--lora-scale"
                             : merge_       ? "--lora-merge"
                                            : "--lora-strict";
    throw UsageError(flag + ": expected --lora ADAPTER with it");
  }
  AdapterOptions& last = options.adapters.back();
  if (!file_.empty()) {
    if (!last.file.empty()) {
      throw UsageError("--lora-file " + file_ + ": --lora " + adapters_.back() +
                       " names a file already; expected one of them");
    }
    last.file = file_;
  }
  if (!scale_) return;
  if (last.scale) {
    throw UsageError("--lora-scale: --lora " + adapters_.back() +
                     " has a scale already; expected one of them");
  }
  if (!std::isfinite(*scale_)) throw UsageError("--lora-scale: expected a finite number");
  last.scale = scale_;
}

void AdapterFlags::report(const Pipeline& pipeline, const OptionFlags& flags,
                          const GenerateOptions& options, ProgressDisplay& display) const {
  const auto& applied = pipeline.adapters();
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const std::string line = report_of(applied[i]);
    const bool is_whole = applied[i].unmatched.empty() && applied[i].repeated.empty();
    is_whole ? display.note(line) : display.print("warning: " + line);
    if (!applied[i].recipe || applied[i].scale == 0) continue;
    const bool is_last = i + 1 == applied.size();
    const bool is_scale_given =
        parse_adapter(adapters_[i]).scale.has_value() || (is_last && scale_.has_value());
    report_recipe(applied[i], is_scale_given, flags, options, display);
  }
}

}  // namespace zimage::cli
