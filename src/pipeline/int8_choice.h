#pragma once

#include <string>
#include <vector>

#include "layers/weights.h"
#include "models/snapshot.h"
#include "zimage/pipeline.h"

namespace zimage {

// Which weights a pipeline multiplies in eight bits: those that the file has so, unless the compute
// dtype is given as another; with ComputeDtype::kInt8 also those of attention and feed-forward in
// the transformer's main layers, which hold nine tenths of it. The refiners, the embedders, the
// modulation and the final layer stay in bf16: small parts that are known to suffer.
struct Int8Choice {
  bool is_on = false;
  Int8Policy policy = {};
};

// Whether kInt8 quantises the weight of this name when nothing is kept.
bool is_int8_weight(const std::string& name);

// kept: weights that are not quantised, by a part of their names between dots ("layers.0",
// "feed_forward.w2"). Throws UsageError for one that names nothing.
Int8Choice choose_int8(const Snapshot& snapshot, ComputeDtype dtype,
                       const std::vector<std::string>& kept);

}  // namespace zimage
