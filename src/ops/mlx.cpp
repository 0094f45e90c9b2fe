#include "ops/mlx.h"

#include "core/check.h"
#include "cpu/mlx.h"

namespace zimage::ops {
namespace {

bool is_affine(const MlxFormat& format) { return format.mode == MlxFormat::Mode::kAffine; }

void check_format(const MlxFormat& format) {
  check(is_mlx_format(format), name_of(format),
        ": expected affine with 4 or 8 bits and groups of 32, 64 or 128, or mxfp4 with 4 bits and "
        "groups of 32");
}

Shape shape_of(const MlxMatrix& m) { return {m.words.dim(0), m.words.dim(1) * 32 / m.format.bits}; }

void check_matrix(const MlxMatrix& m) {
  check_format(m.format);
  check(m.words.rank() == 2 && m.words.dtype() == Dtype::kU32, "weight is ", m.words.shape(), " ",
        m.words.dtype(), ", expected [out, words] U32");
  const Shape shape = shape_of(m), groups{shape[0], shape[1] / m.format.group_size};
  const auto check_groups = [&](const Tensor& tensor, std::string_view name) {
    const Dtype dtype = tensor.dtype();
    const bool fits = is_affine(m.format)
                          ? dtype == Dtype::kF32 || dtype == Dtype::kBf16 || dtype == Dtype::kF16
                          : dtype == Dtype::kU8;
    check(fits, name, " are ", dtype, ", expected ",
          is_affine(m.format) ? "F32, BF16 or F16" : "U8");
    check(shape[1] % m.format.group_size == 0 && tensor.shape() == groups, name, " are ",
          tensor.shape(), ", expected ", groups, " for ", name_of(m.format), " and ", shape,
          " weights");
  };
  check_groups(m.scales, "scales");
  if (is_affine(m.format)) check_groups(m.biases, "biases");
}

class MlxRows : public WeightRows {
 public:
  explicit MlxRows(const MlxMatrix& matrix) : matrix_(matrix), shape_(shape_of(matrix)) {}

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

bool is_mlx_format(const MlxFormat& f) {
  if (!is_affine(f)) return f.bits == 4 && f.group_size == 32;
  const bool is_group = f.group_size == 32 || f.group_size == 64 || f.group_size == 128;
  return is_group && (f.bits == 4 || f.bits == 8);
}

std::string name_of(const MlxFormat& format) {
  return str("MLX ", is_affine(format) ? "affine" : "mxfp4", ", ", format.bits, " bits, groups of ",
             format.group_size);
}

std::shared_ptr<const WeightRows> mlx_rows(const MlxMatrix& matrix) {
  check_matrix(matrix);
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
