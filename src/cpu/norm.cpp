#include "cpu/norm.h"

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/norm.h"

namespace zimage::cpu {
namespace {

using RowKernel = void (*)(const RowNormArgs& args, std::int64_t row_begin, std::int64_t row_end);

const float* data_or_null(const Tensor& t) { return t.defined() ? t.data<float>() : nullptr; }

void norm_rows(RowKernel kernel, const Tensor& x, const Tensor& weight, float eps,
               const Tensor& scale, Tensor& y) {
  const RowNormArgs args{.x = x.raw(),
                         .x_dtype = x.dtype(),
                         .y = y.raw(),
                         .y_dtype = y.dtype(),
                         .dim = x.dim(-1),
                         .eps = eps,
                         .weight = data_or_null(weight),
                         .scale = data_or_null(scale)};
  parallel_blocks(x.numel() / args.dim, rows_per_block(args.dim),
                  [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

}  // namespace

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& scale, Tensor& y) {
  norm_rows(norm_kernels().rms_norm, x, weight, eps, scale, y);
}

void layer_norm(const Tensor& x, float eps, const Tensor& scale, Tensor& y) {
  norm_rows(norm_kernels().layer_norm, x, {}, eps, scale, y);
}

}  // namespace zimage::cpu
