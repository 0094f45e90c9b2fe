#include "ops/mlx.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "core/check.h"
#include "cpu/mlx.h"

namespace zimage::ops {
namespace {

using Mode = MlxFormat::Mode;

constexpr std::array<MlxFormat, 7> kFormats{{{Mode::kAffine, 4, 32},
                                             {Mode::kAffine, 4, 64},
                                             {Mode::kAffine, 4, 128},
                                             {Mode::kAffine, 8, 32},
                                             {Mode::kAffine, 8, 64},
                                             {Mode::kAffine, 8, 128},
                                             {Mode::kMxfp4, 4, 32}}};

bool is_affine(const MlxFormat& format) { return format.mode == Mode::kAffine; }

void check_format(const MlxFormat& format) {
  check(is_mlx_format(format), name_of(format),
        ": expected affine with 4 or 8 bits and groups of 32, 64 or 128, or mxfp4 with 4 bits and "
        "groups of 32");
}

MlxHeader header_of(const MlxMatrix& m) {
  MlxHeader header{.words = {m.words.shape(), m.words.dtype()},
                   .scales = {m.scales.shape(), m.scales.dtype()}};
  if (m.biases.defined()) header.biases = {m.biases.shape(), m.biases.dtype()};
  return header;
}

class MlxRows : public WeightRows {
 public:
  explicit MlxRows(const MlxMatrix& matrix)
      : matrix_(matrix), shape_(ops::shape_of(header_of(matrix), matrix.format)) {}

  const Shape& shape() const override { return shape_; }
  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    if (is_affine(matrix_.format)) {
      cpu::decode_affine(matrix_.words, matrix_.scales, matrix_.biases,
                         {row, channel, n, matrix_.format.group_size}, values);
    } else {
      cpu::decode_mxfp4(matrix_.words, matrix_.scales, {row, channel, n}, values);
    }
  }
  std::vector<Tensor> tensors() const override {
    if (!is_affine(matrix_.format)) return {matrix_.words, matrix_.scales};
    return {matrix_.words, matrix_.scales, matrix_.biases};
  }

 private:
  MlxMatrix matrix_;
  Shape shape_;
};

}  // namespace

std::span<const MlxFormat> mlx_formats() { return kFormats; }

bool is_mlx_format(const MlxFormat& format) {
  return std::find(kFormats.begin(), kFormats.end(), format) != kFormats.end();
}

std::string name_of(const MlxFormat& format) {
  return str("MLX ", is_affine(format) ? "affine" : "mxfp4", ", ", format.bits, " bits, groups of ",
             format.group_size);
}

bool fits(const MlxHeader& h, const MlxFormat& format) {
  const Dtype scale = h.scales.dtype;
  const bool is_dtype = is_affine(format)
                            ? scale == Dtype::kF32 || scale == Dtype::kBf16 || scale == Dtype::kF16
                            : scale == Dtype::kU8;
  if (h.words.dtype != Dtype::kU32 || h.words.shape.rank() != 2 || !is_dtype) return false;
  constexpr std::int64_t kMostWords = std::int64_t{1} << 40;  // of a row
  if (h.words.shape[0] == 0 || h.words.shape[1] > kMostWords) return false;
  const Shape shape = shape_of(h, format);
  return shape[1] > 0 && shape[1] % format.group_size == 0 &&
         h.scales.shape == Shape{shape[0], shape[1] / format.group_size} &&
         h.biases.has_value() == is_affine(format) &&
         (!h.biases || (h.biases->shape == h.scales.shape && h.biases->dtype == scale));
}

Shape shape_of(const MlxHeader& header, const MlxFormat& format) {
  return {header.words.shape[0], header.words.shape[1] * (32 / format.bits)};
}

std::ostream& operator<<(std::ostream& out, const MlxHeader& header) {
  out << header.words.shape << ' ' << header.words.dtype << " with scales " << header.scales.shape
      << ' ' << header.scales.dtype;
  if (!header.biases) return out << " and no biases";
  return out << " and biases " << header.biases->shape << ' ' << header.biases->dtype;
}

std::shared_ptr<const WeightRows> mlx_rows(const MlxMatrix& matrix) {
  check_format(matrix.format);
  const MlxHeader header = header_of(matrix);
  check(fits(header, matrix.format), "weights of ", header, ", expected ", name_of(matrix.format));
  return std::make_shared<MlxRows>(matrix);
}

MlxMatrix quantize_mlx(const Tensor& weight, const MlxFormat& format) {
  check_format(format);
  check(
      weight.rank() == 2 && weight.dtype() == Dtype::kF32 && weight.dim(1) % format.group_size == 0,
      "quantize_mlx: weight is ", weight.shape(), " ", weight.dtype(),
      ", expected [out, in] F32 with in a multiple of ", format.group_size);
  const std::int64_t rows = weight.dim(0), groups = weight.dim(1) / format.group_size;
  MlxMatrix m{.words = empty({rows, weight.dim(1) * format.bits / 32}, Dtype::kU32),
              .scales = empty({rows, groups}, is_affine(format) ? Dtype::kF32 : Dtype::kU8),
              .biases = {},
              .format = format};
  if (is_affine(format)) {
    m.biases = empty({rows, groups});
    cpu::quantize_affine(weight, format.bits, format.group_size, m.words, m.scales, m.biases);
  } else {
    cpu::quantize_mxfp4(weight, m.words, m.scales);
  }
  return m;
}

}  // namespace zimage::ops
