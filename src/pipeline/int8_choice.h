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
  bool is_on = false;  // some weight of the transformer is
  Int8Policy policy = {};
  std::vector<std::string> kept = {};
};

// Whether kInt8 quantises the weight of this name when nothing is kept.
bool is_int8_weight(const std::string& name);

// kept: weights that are not quantised, by a part of their names between dots ("layers.0",
// "feed_forward.w2"). Throws UsageError, naming `flag`, for one that names nothing or what the file
// has in eight bits.
Int8Choice choose_int8(const Snapshot& snapshot, ComputeDtype dtype,
                       const std::vector<std::string>& kept, std::string_view flag);

}  // namespace zimage
