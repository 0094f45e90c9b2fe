#pragma once

#include "pipeline/cost.h"

namespace zimage {

// What this machine does at the moment, in floating-point operations per second.
struct Speed {
  double linear, attention, convolution;

  double seconds(const Cost& cost) const {
    return cost.linear / linear + cost.attention / attention + cost.convolution / convolution;
  }
};

// By running one operation of each kind at widths that the models have, on random numbers and
// num_threads() threads: about a second for the published model.
Speed measure_speed(const TransformerConfig& transformer, const VaeConfig& vae, Dtype compute);

}  // namespace zimage
