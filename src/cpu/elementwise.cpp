#include "cpu/elementwise.h"

#include <atomic>

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"
#include "cpu/kernels/elementwise.h"

namespace zimage::cpu {
namespace {

// body(first, count) for blocks of n elements.
template <class Body>
void for_elements(std::int64_t n, Body&& body) {
  parallel_blocks(n, kBlockElements,
                  [&](std::int64_t begin, std::int64_t end) { body(begin, end - begin); });
}

const std::byte* at(const Tensor& t, std::int64_t i) {
  return t.raw() + i * static_cast<std::int64_t>(size_of(t.dtype()));
}
std::byte* at(Tensor& t, std::int64_t i) {
  return t.raw() + i * static_cast<std::int64_t>(size_of(t.dtype()));
}

}  // namespace

void cast(const Tensor& x, Tensor& y) {
  const CastKernels& kernels = cast_kernels();
  for_elements(x.numel(), [&](std::int64_t i, std::int64_t n) {
    kernels.cast(at(x, i), x.dtype(), at(y, i), y.dtype(), n);
  });
}

void silu_mul(const Tensor& gate, const Tensor& up, Tensor& y) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_elements(y.numel(), [&](std::int64_t i, std::int64_t n) {
    kernels.silu_mul(at(gate, i), at(up, i), at(y, i), y.dtype(), n);
  });
}

void silu(const Tensor& x, Tensor& y) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_elements(y.numel(), [&](std::int64_t i, std::int64_t n) {
    kernels.silu(at(x, i), at(y, i), y.dtype(), n);
  });
}

void tanh(const Tensor& x, Tensor& y) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_elements(y.numel(), [&](std::int64_t i, std::int64_t n) {
    kernels.tanh(at(x, i), at(y, i), y.dtype(), n);
  });
}

void add(const Tensor& x, const Tensor& y, Tensor& sum) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  for_elements(sum.numel(), [&](std::int64_t i, std::int64_t n) {
    kernels.add(at(x, i), at(y, i), at(sum, i), sum.dtype(), n);
  });
}

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, Tensor& sum) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  const std::int64_t dim = gate.numel();
  parallel_blocks(dim == 0 ? 0 : x.numel() / dim, rows_per_block(dim),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; ++row) {
                      const std::int64_t i = row * dim;
                      kernels.add_gated(x.data<float>() + i, y.data<float>() + i,
                                        gate.data<float>(), sum.data<float>() + i, dim);
                    }
                  });
}

void gather_rows(const Tensor& table, const Tensor& ids_i32, Tensor& rows) {
  const CastKernels& kernels = cast_kernels();
  const std::int64_t dim = table.dim(1);
  const std::int32_t* const ids = ids_i32.data<std::int32_t>();
  parallel_blocks(ids_i32.numel(), rows_per_block(dim), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      kernels.cast(at(table, ids[i] * dim), table.dtype(), at(rows, i * dim), Dtype::kF32, dim);
    }
  });
}

bool all_finite(const Tensor& x) {
  const ElementwiseKernels& kernels = elementwise_kernels();
  std::atomic<bool> is_finite{true};
  for_elements(x.numel(), [&](std::int64_t i, std::int64_t n) {
    if (is_finite && !kernels.all_finite(at(x, i), x.dtype(), n)) is_finite = false;
  });
  return is_finite;
}

}  // namespace zimage::cpu
