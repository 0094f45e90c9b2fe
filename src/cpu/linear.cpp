#include "cpu/linear.h"

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"

namespace zimage::cpu {
namespace {

void run(const WeightedSum& sum, const Tensor& x) {
  const auto size = static_cast<std::int64_t>(size_of(x.dtype()));
  sum.run(kLinearStripRows,
          [&](std::int64_t row, std::int64_t channel, std::int64_t n, std::uint32_t* words) {
            sum.to_words(x.raw() + (row * sum.in + channel) * size, n, words);
          });
}

}  // namespace

void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path) {
  run(WeightedSum(weight, bias, y, path), x);
}

void linear(const Tensor& x, const DecodeRow& weight, const Tensor& bias, Tensor& y) {
  run(WeightedSum(weight, x.dim(-1), x.dtype(), bias, y, bf16_path()), x);
}

void decode_rows(const DecodeRow& weight, Tensor& y) {
  const std::int64_t in = y.dim(1);
  const auto size = static_cast<std::int64_t>(size_of(y.dtype()));
  parallel_blocks(y.dim(0), rows_per_block(in), [&](std::int64_t begin, std::int64_t end) {
    Tensor row = empty({in});
    for (std::int64_t i = begin; i < end; ++i) {
      weight(i, 0, in, row.data<float>());
      cast_kernels().cast(row.raw(), Dtype::kF32, y.raw() + i * in * size, y.dtype(), in);
    }
  });
}

}  // namespace zimage::cpu
