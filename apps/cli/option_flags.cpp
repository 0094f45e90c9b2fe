#include "option_flags.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>

namespace zimage::cli {
namespace {

const std::map<std::string_view, std::string_view> kShortForms{
    {"prompt", "-p,"}, {"negative-prompt", "--np,"}, {"width", "-W,"},     {"height", "-H,"},
    {"steps", "-s,"},  {"guidance", "-g,"},          {"num-images", "-n,"}};

[[noreturn]] void refuse(std::string_view name, std::string_view text, std::string_view expected) {
  throw UsageError("--" + std::string(name) + " " + std::string(text) + ": expected " +
                   std::string(expected));
}

template <class Number>
Number parse_number(std::string_view name, std::string_view text, std::string_view expected) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) refuse(name, text, expected);
  return value;
}

void parse(std::string_view, const std::string& text, std::string& value) { value = text; }

void parse(std::string_view name, const std::string& text, int& value) {
  value = parse_number<int>(name, text, "a whole number");
}

void parse(std::string_view name, const std::string& text, std::uint64_t& value) {
  value = parse_number<std::uint64_t>(name, text, "a whole number from 0 to 2^64 - 1");
}

void parse(std::string_view name, const std::string& text, float& value) {
  value = parse_number<float>(name, text, "a number");
  if (!std::isfinite(value)) refuse(name, text, "a finite number");
}

void parse(std::string_view name, const std::string& text, double& value) {
  value = parse_number<double>(name, text, "a number");
  if (!std::isfinite(value)) refuse(name, text, "a finite number");
}

void parse(std::string_view name, const std::string& text, std::optional<double>& value) {
  parse(name, text, value.emplace());
}

void parse(std::string_view, const std::string& text, bool& value) { value = text == "true"; }

void parse(std::string_view name, const std::string& text, Schedule& value) {
  if (text == name_of(Schedule::kTerminal)) {
    value = Schedule::kTerminal;
  } else if (text == name_of(Schedule::kLiteral)) {
    value = Schedule::kLiteral;
  } else {
    refuse(name, text, "terminal or literal");
  }
}

void parse(std::string_view name, const std::string& text, Rng& value) {
  if (text == name_of(Rng::kTorch)) {
    value = Rng::kTorch;
  } else if (text == name_of(Rng::kCuda)) {
    value = Rng::kCuda;
  } else {
    refuse(name, text, "torch or cuda");
  }
}

void parse(std::string_view name, const std::string& text, StepCache& value) {
  for (const StepCache method : {StepCache::kOff, StepCache::kMask, StepCache::kEasyCache}) {
    value = method;
    if (text == name_of(method)) return;
  }
  refuse(name, text, "off, mask or easycache");
}

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, std::string>) return "TEXT";
  if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, std::optional<double>>) return "F";
  if constexpr (std::is_same_v<T, Schedule>) return "terminal|literal";
  if constexpr (std::is_same_v<T, StepCache>) return "off|mask|easycache";
  if constexpr (std::is_same_v<T, Rng>) return "torch|cuda";
  return "N";
}

}  // namespace

OptionFlags::OptionFlags(CLI::App& app, const Names& without) {
  GenerateOptions scratch;
  visit_options(scratch, [&](std::string_view name, auto& field, std::string_view help) {
    using Field = std::remove_reference_t<decltype(field)>;
    if (without.contains(name)) return;
    const std::string key(name);
    const auto short_form = kShortForms.find(name);
    const std::string flags =
        (short_form != kShortForms.end() ? std::string(short_form->second) : "") + "--" + key;
    if constexpr (std::is_same_v<Field, bool>) {
      app.add_flag_callback(
          flags, [this, key] { given_[key] = "true"; }, std::string(help));
    } else {
      app.add_option_function<std::string>(
             flags,
             [this, key](const std::string& text) {
               Field value{};
               parse(key, text, value);
               given_[key] = text;
             },
             std::string(help))
          ->type_name(type_name<Field>())
          ->take_last();
    }
  });
}

void OptionFlags::apply(GenerateOptions& options) const {
  visit_options(options, [&](std::string_view name, auto& field, std::string_view) {
    if (const auto it = given_.find(std::string(name)); it != given_.end()) {
      parse(name, it->second, field);
    }
  });
  if (is_given("cfg-normalization-factor")) options.cfg_normalization = true;
  choose_step_cache(options);
}

// A setting of a method chooses the method, and does not stand beside another one.
void OptionFlags::choose_step_cache(GenerateOptions& options) const {
  for (const auto& [name, method] : {std::pair{"step-cache-mask", StepCache::kMask},
                                     {"step-cache-threshold", StepCache::kEasyCache},
                                     {"step-cache-start", StepCache::kEasyCache},
                                     {"step-cache-end", StepCache::kEasyCache}}) {
    if (!is_given(name)) continue;
    if (options.step_cache == StepCache::kOff && !is_given("step-cache")) {
      options.step_cache = method;
    }
    if (options.step_cache != method) {
      throw UsageError("--" + std::string(name) + ": expected --step-cache " +
                       std::string(name_of(method)) + " with it");
    }
  }
}

}  // namespace zimage::cli
