#include "zimage/metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>

#include "core/check.h"
#include "pipeline/infotext.h"
#include "zimage/options.h"

namespace zimage {

std::string record_json(const GenerateOptions& options, const std::string& model,
                        std::string_view dtype) {
  nlohmann::ordered_json record{
      {"version", "zimage " ZIMAGE_VERSION}, {"model", model}, {"dtype", dtype}};
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
  return record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

ImageMetadata metadata_of(const GenerateOptions& options, int index, const std::string& model,
                          std::string_view dtype) {
  GenerateOptions one = options;
  one.seed += static_cast<std::uint64_t>(index);
  one.num_images = 1;
  Infotext info{.prompt = one.prompt,
                .negative_prompt = one.guidance_scale > 0 ? one.negative_prompt : "",
                .parameters = {{"Steps", str(one.steps)},
                               {"Sampler", "Euler"},
                               {"Schedule type", std::string(name_of(one.schedule))},
                               {"CFG scale", cfg_scale_text(one.guidance_scale)},
                               {"Seed", str(one.seed)},
                               {"Size", str(one.width, "x", one.height)},
                               {"Model", model},
                               {"Dtype", std::string(dtype)},
                               {"RNG", std::string(name_of(one.rng))}}};
  if (one.image) info.parameters.emplace_back("Denoising strength", str(strength_of(one)));
  if (one.mask)
    info.parameters.emplace_back("Inpaint", one.no_composite ? "decoded" : "composited");
  if (one.control.any()) info.parameters.emplace_back("Control scale", str(one.control.scale));
  info.parameters.emplace_back("Version", "zimage " ZIMAGE_VERSION);
  return {.parameters = format_infotext(info), .zimage_json = record_json(one, model, dtype)};
}

}  // namespace zimage
