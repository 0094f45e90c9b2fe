#pragma once

#include <string>

#include "zimage/image.h"
#include "zimage/pipeline.h"

namespace zimage {

// What is written into picture `index` of a run: the A1111 infotext and our own JSON record, from
// which the same picture can be drawn again. `model` is the name the user gave.
ImageMetadata metadata_of(const GenerateOptions& options, int index, const std::string& model);

}  // namespace zimage
