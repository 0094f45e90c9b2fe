#pragma once

#include <string>
#include <string_view>

#include "zimage/image.h"
#include "zimage/pipeline.h"

namespace zimage {

// One JSON object: version, model, dtype, adapters and every option by the names of visit_options()
// with underscores.
std::string record_json(const GenerateOptions& options, const std::string& model,
                        std::string_view dtype, const std::vector<AppliedAdapter>& adapters = {});

// What is written into picture `index` of a run: the A1111 infotext, and the record with which that
// picture alone is drawn again. Both say which updates were reused where there was a step cache.
// `model` is the name the user gave, dtype the compute type (Pipeline::compute_dtype()).
ImageMetadata metadata_of(const GenerateOptions& options, int index, const Drawing& how,
                          const std::string& model, std::string_view dtype,
                          const std::vector<AppliedAdapter>& adapters = {});

}  // namespace zimage
