#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/dispatch.h"

namespace zimage::cpu {

// A row of int8 values that stand for scale * value, of the row x turned by the regular Hadamard
// matrix in groups of channels (ops/int8.h).
struct QuantizeRow {
  const void* x;  // [channels]
  Dtype x_dtype;  // F32 or BF16
  std::int64_t channels;
  std::int64_t rotation;  // channels of a group, a power of four that divides `channels`
  float* turned;          // [channels], scratch
  std::int8_t* values;    // [channels]
  float* scale;           // the largest magnitude / 127; NaN where x is not finite
  std::int32_t* sum;      // of the values; may be null
};

// y[c] = (sums[c] - offset) * row_scale * scales[c] + bias[c]
struct Int8Sums {
  const std::int32_t* sums;
  std::int64_t columns;
  std::int32_t offset;
  float row_scale;
  const float* scales;
  const float* bias;  // or null
  float* y;
};

struct Int8Kernels {
  void (*quantize_row)(const QuantizeRow& row);
  // Turns a row back, or on: the matrix is its own inverse.
  void (*rotate)(float* x, std::int64_t channels, std::int64_t rotation);
  void (*widen)(const std::int8_t* x, std::int64_t n, std::int16_t* y);
  void (*finish)(const Int8Sums& sums);
};

ZIMAGE_KERNELS(Int8Kernels, int8_kernels);

}  // namespace zimage::cpu
