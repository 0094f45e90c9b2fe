#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/tensor.h"
#include "ops/weight_rows.h"

namespace zimage::ops {

// How MLX (mx.quantize) holds weights in few bits, with one scale for a group of channels:
//   kAffine: code * scale + bias, 4 or 8 bits, groups of 32, 64 or 128; in f32 each of the two
//            operations is rounded, as on MLX's CPU.
//   kMxfp4:  4-bit floats (e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives) times a power of
//            two, groups of 32.
struct MlxFormat {
  enum class Mode { kAffine, kMxfp4 };

  Mode mode = Mode::kAffine;
  int bits = 8;
  int group_size = 32;

  friend bool operator==(const MlxFormat&, const MlxFormat&) = default;
};

// All that there are.
std::span<const MlxFormat> mlx_formats();
bool is_mlx_format(const MlxFormat& format);
std::string name_of(const MlxFormat& format);  // "MLX affine, 8 bits, groups of 32"

// Weights [out, in]: code k of a row is in bits k * bits of its words, the lowest first.
struct MlxMatrix {
  Tensor words;   // [out, in * bits / 32] U32
  Tensor scales;  // [out, in / group_size]; affine: F32, BF16 or F16; mxfp4: U8, the exponent + 127
  Tensor biases;  // as the scales; undefined for mxfp4
  MlxFormat format;
};

// The same by shapes and dtypes alone, as a file's header tells them.
struct MlxHeader {
  struct Part {
    Shape shape;
    Dtype dtype;
  };
  Part words, scales;
  std::optional<Part> biases = {};
};
// Whether they are weights in that format, whose shape is then shape_of().
bool fits(const MlxHeader& header, const MlxFormat& format);
Shape shape_of(const MlxHeader& header, const MlxFormat& format);  // [out, in]
std::ostream& operator<<(std::ostream& out, const MlxHeader& header);

// Decoded in f32 whatever the dtype of the scales. Throws Error for tensors that do not fit.
std::shared_ptr<const WeightRows> mlx_rows(const MlxMatrix& matrix);

// weight: [out, in] f32, in a multiple of the group. Bit for bit what mx.quantize() makes of it,
// scales and biases in F32. A group that is not finite gets a scale of NaN (mxfp4: 255), and so
// does one with a range beyond f32.
MlxMatrix quantize_mlx(const Tensor& weight, const MlxFormat& format);

}  // namespace zimage::ops
