#pragma once

#include "pipeline/cost.h"

namespace zimage {

// What this machine does at the moment, in floating-point operations per second.
struct Speed {
  double linear, attention, convolution;
  double int8 = 0;  // of matrix products in eight bits; 0: not measured

  // int8_share: of the matrix products, where int8 was measured.
  double seconds(const Cost& cost, double int8_share = 0) const {
    const double eight = int8 > 0 ? cost.linear * int8_share : 0;
    return (cost.linear - eight) / linear + (eight > 0 ? eight / int8 : 0) +
           cost.attention / attention + cost.convolution / convolution;
  }
};

// By running one operation of each kind at widths that the models have, on random numbers and
// num_threads() threads: about a second for the published model.
Speed measure_speed(const TransformerConfig& transformer, const VaeConfig& vae, Dtype compute,
                    bool with_int8);

}  // namespace zimage
