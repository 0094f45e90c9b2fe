#include "zimage/metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>

#include "core/check.h"
#include "pipeline/infotext.h"
#include "zimage/options.h"

namespace zimage {

namespace {

nlohmann::ordered_json record_of(const GenerateOptions& options, const std::string& model,
                                 std::string_view dtype,
                                 const std::vector<AppliedAdapter>& adapters) {
  nlohmann::ordered_json record{
      {"version", "zimage " ZIMAGE_VERSION}, {"model", model}, {"dtype", dtype}};
  for (const AppliedAdapter& adapter : adapters) {
    record["adapters"].push_back({{"name", adapter.name}, {"scale", adapter.scale}});
  }
  visit_options(options, [&](std::string_view name, const auto& field, std::string_view) {
    std::string key(name);
    std::replace(key.begin(), key.end(), '-', '_');
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::optional<double>>) {
      if (options.image) record[key] = strength_of(options);
    } else if constexpr (std::is_enum_v<Field>) {
      record[key] = name_of(field);
    } else {
      record[key] = field;
    }
  });
  return record;
}

std::string step_cache_text(const GenerateOptions& options) {
  if (options.step_cache != StepCache::kEasyCache) return std::string(name_of(options.step_cache));
  return str(name_of(options.step_cache), " ", options.step_cache_threshold, " from ",
             options.step_cache_start, " to ", options.step_cache_end);
}

// "style.safetensors: 0.8, org/name:pose.safetensors: 1"
std::string adapters_text(const std::vector<AppliedAdapter>& adapters) {
  std::string text;
  for (const AppliedAdapter& adapter : adapters) {
    text += str(text.empty() ? "" : ", ", adapter.name, ": ", adapter.scale);
  }
  return text;
}

std::string dump(const nlohmann::ordered_json& record) {
  return record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string record_json(const GenerateOptions& options, const std::string& model,
                        std::string_view dtype, const std::vector<AppliedAdapter>& adapters) {
  return dump(record_of(options, model, dtype, adapters));
}

ImageMetadata metadata_of(const GenerateOptions& options, int index, const Drawing& how,
                          const std::string& model, std::string_view dtype,
                          const std::vector<AppliedAdapter>& adapters) {
  const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(index);
  Infotext info{.prompt = options.prompt,
                .negative_prompt = options.guidance_scale > 0 ? options.negative_prompt : "",
                .parameters = {{"Steps", str(options.steps)},
                               {"Sampler", "Euler"},
                               {"Schedule type", std::string(name_of(options.schedule))},
                               {"CFG scale", cfg_scale_text(options.guidance_scale)},
                               {"Seed", str(seed)},
                               {"Size", str(options.width, "x", options.height)},
                               {"Model", model},
                               {"Dtype", std::string(dtype)},
                               {"RNG", std::string(name_of(options.rng))}}};
  const auto add = [&](const char* key, const auto& value) {
    info.parameters.emplace_back(key, str(value));
  };
  if (options.image) add("Denoising strength", strength_of(options));
  if (options.mask) add("Inpaint", options.no_composite ? "decoded" : "composited");
  if (options.control.any()) add("Control scale", options.control.scale);
  if (!adapters.empty()) add("Adapters", adapters_text(adapters));
  if (options.step_cache != StepCache::kOff) {
    add("Step cache", step_cache_text(options));
    add("Computed updates", how.updates);
  }
  add("Version", "zimage " ZIMAGE_VERSION);
  nlohmann::ordered_json record = record_of(options, model, dtype, adapters);
  record["seed"] = seed;
  record["num_images"] = 1;
  if (options.step_cache != StepCache::kOff) record["computed_updates"] = how.updates;
  return {.parameters = format_infotext(info), .zimage_json = dump(record)};
}

}  // namespace zimage
