#include "cpu/rope.h"

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/rope.h"

namespace zimage::cpu {

void rms_norm_rope(const Tensor& x, const Tensor& weight, float eps, const Tensor& cos,
                   const Tensor& sin, bool is_interleaved, Tensor& y) {
  const RopeArgs args{.x = x.raw(),
                      .y = y.raw(),
                      .dtype = x.dtype(),
                      .heads = x.dim(1),
                      .head_dim = x.dim(2),
                      .weight = weight.defined() ? weight.data<float>() : nullptr,
                      .eps = eps,
                      .cos = cos.data<float>(),
                      .sin = sin.data<float>(),
                      .is_interleaved = is_interleaved};
  const auto kernel = rope_kernels().rms_norm_rope;
  parallel_blocks(x.dim(0), rows_per_block(args.heads * args.head_dim),
                  [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

}  // namespace zimage::cpu
