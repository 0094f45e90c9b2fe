#include "core/check.h"
#include "cpu/onednn.h"
#include "cpu/onednn_runtime.h"

namespace zimage::cpu::onednn {
namespace {

using dnnl::memory;

dnnl::matmul::primitive_desc describe(const Matmul& shape, bool has_bias) {
  const auto type = type_of(shape.dtype);
  const memory::desc x({shape.m, shape.k}, type, memory::dims{shape.k, 1});
  const memory::desc w({shape.k, shape.n}, type, memory::dims{1, shape.k});
  const memory::desc y({shape.m, shape.n}, type_of(shape.y_dtype), memory::dims{shape.y_stride, 1});
  if (!has_bias) return {dnnl::matmul::desc(x, w, y), attributes(), engine()};
  const memory::desc bias({1, shape.n}, memory::data_type::f32, memory::format_tag::ab);
  return {dnnl::matmul::desc(x, w, bias, y), attributes(), engine()};
}

}  // namespace

// oneDNN keeps what it generated in a cache of its own (bounded), so that making a primitive again
// takes some 10 us.
void matmul(const Matmul& shape, const void* x, const void* w, const float* bias, void* y) try {
  const OneThread one_thread;
  const auto pd = describe(shape, bias != nullptr);
  Arguments arguments{{DNNL_ARG_SRC, bind(pd.src_desc(), x)},
                      {DNNL_ARG_WEIGHTS, bind(pd.weights_desc(), w)},
                      {DNNL_ARG_DST, bind(pd.dst_desc(), y)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, bind(pd.bias_desc(), bias));
  run(dnnl::matmul(pd), pd.scratchpad_desc(), std::move(arguments));
} catch (const dnnl::error& error) {
  throw Error(str("oneDNN matmul of [", shape.m, ", ", shape.k, "] by [", shape.k, ", ", shape.n,
                  "]: ", error.what()));
}

}  // namespace zimage::cpu::onednn
