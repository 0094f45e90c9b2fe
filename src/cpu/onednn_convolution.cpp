#include "core/allocator.h"
#include "core/check.h"
#include "core/tensor.h"
#include "cpu/isa.h"
#include "cpu/kernels/cast.h"
#include "cpu/onednn.h"
#include "cpu/onednn_runtime.h"

namespace zimage::cpu::onednn {

using dnnl::memory;

class PackedWeight {
 public:
  explicit PackedWeight(const memory::desc& desc)
      : desc(desc), data(allocator::allocate(desc.get_size())) {}

  memory::desc desc;
  std::shared_ptr<std::byte> data;
};

struct Convolution::Impl {
  dnnl::convolution_forward::primitive_desc pd;
  dnnl::convolution_forward primitive;
  memory::dims weight_dims;  // [out, in, kernel_height, kernel_width]

  Impl(const ConvShape& s, Dtype x_dtype, Dtype y_dtype, Epilogue epilogue);
  std::shared_ptr<const PackedWeight> pack(const memory::desc& from, const void* weight) const;
  void operator()(const void* x, const PackedWeight& weight, const float* bias, void* y) const;
};

namespace {

dnnl::convolution_forward::primitive_desc describe(const ConvShape& s, Dtype x_dtype, Dtype y_dtype,
                                                   Epilogue epilogue) {
  using tag = memory::format_tag;
  const memory::desc x({1, s.in, s.height, s.width}, type_of(x_dtype), tag::nhwc);
  const memory::desc weight({s.out, s.in, s.kernel_height, s.kernel_width}, type_of(x_dtype),
                            tag::any);
  const memory::desc y({1, s.out, s.out_height, s.out_width}, type_of(y_dtype), tag::nhwc);
  const memory::desc bias = epilogue == Epilogue::kAddBias
                                ? memory::desc({s.out}, memory::data_type::f32, tag::a)
                                : memory::desc();
  const dnnl::convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, weight, bias, y,
      {s.stride, s.stride}, {s.pad_top, s.pad_left}, {s.pad_bottom, s.pad_right});
  return {desc, attributes(epilogue == Epilogue::kAccumulate), engine()};
}

}  // namespace

Convolution::Impl::Impl(const ConvShape& s, Dtype x_dtype, Dtype y_dtype, Epilogue epilogue)
    : weight_dims{s.out, s.in, s.kernel_height, s.kernel_width} {
  const OneThread one_thread;
  try {
    pd = describe(s, x_dtype, y_dtype, epilogue);
    primitive = dnnl::convolution_forward(pd);
  } catch (const dnnl::error& error) {
    throw Error(str("oneDNN convolution of [", s.height, ", ", s.width, ", ", s.in, "] by [", s.out,
                    ", ", s.kernel_height, ", ", s.kernel_width, ", ", s.in, "]: ", error.what()));
  }
}

std::shared_ptr<const PackedWeight> Convolution::Impl::pack(const memory::desc& from,
                                                            const void* weight) const {
  const OneThread one_thread;
  auto packed = std::make_shared<PackedWeight>(pd.weights_desc());
  const dnnl::reorder::primitive_desc reorder(engine(), from, engine(), packed->desc, attributes());
  run(dnnl::reorder(reorder), reorder.scratchpad_desc(),
      {{DNNL_ARG_FROM, bind(from, weight)}, {DNNL_ARG_TO, bind(packed->desc, packed->data.get())}});
  return packed;
}

void Convolution::Impl::operator()(const void* x, const PackedWeight& weight, const float* bias,
                                   void* y) const {
  const OneThread one_thread;
  Arguments arguments{{DNNL_ARG_SRC, bind(pd.src_desc(), x)},
                      {DNNL_ARG_WEIGHTS, bind(weight.desc, weight.data.get())},
                      {DNNL_ARG_DST, bind(pd.dst_desc(), y)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, bind(pd.bias_desc(), bias));
  run(primitive, pd.scratchpad_desc(), std::move(arguments));
}

Convolution::Convolution(const ConvShape& shape, Dtype dtype, bool has_bias)
    : impl_(std::make_shared<Impl>(shape, dtype, dtype,
                                   has_bias ? Epilogue::kAddBias : Epilogue::kStore)) {}

std::shared_ptr<const PackedWeight> Convolution::pack(const void* weight) const {
  const auto type = static_cast<memory::data_type>(impl_->pd.weights_desc().data.data_type);
  return impl_->pack({impl_->weight_dims, type, memory::format_tag::ohwi}, weight);
}

bool Convolution::can_use(const PackedWeight& weight) const {
  return weight.desc == impl_->pd.weights_desc();
}

void Convolution::operator()(const void* x, const PackedWeight& weight, const float* bias,
                             void* y) const {
  (*impl_)(x, weight, bias, y);
}

namespace {

bool packs_f32(const Convolution::Impl& impl) {
  return impl.pd.weights_desc().data.data_type == dnnl_f32;
}

// The n rows of w, or its k columns when those are what lies together, as f32 rows.
Tensor widen(const MatrixView& w, std::int64_t n, std::int64_t k) {
  const bool by_rows = w.column_stride == 1;
  const std::int64_t lines = by_rows ? n : k, stride = by_rows ? w.row_stride : w.column_stride;
  Tensor widened = empty({lines, by_rows ? k : n});
  for (std::int64_t i = 0; i < lines; ++i) {
    cast_kernels().cast(static_cast<const bf16*>(w.data) + i * stride, Dtype::kBf16,
                        widened.data<float>() + i * widened.dim(1), Dtype::kF32, widened.dim(1));
  }
  return widened;
}

}  // namespace

// A row of pixels and a kernel of one: oneDNN's 1x1 convolution runs on f32 near the peak where its
// matmul takes the slower route through an all-purpose gemm.
Product::Product(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype, Epilogue epilogue)
    : n_(n), k_(k) {
  const ConvShape shape{.height = 1,
                        .width = m,
                        .in = k,
                        .out_height = 1,
                        .out_width = m,
                        .out = n,
                        .kernel_height = 1,
                        .kernel_width = 1};
  impl_ = std::make_shared<Convolution::Impl>(shape, dtype, Dtype::kF32, epilogue);
}

std::shared_ptr<const PackedWeight> Product::pack(const MatrixView& w) const {
  Tensor widened;
  MatrixView source = w;
  // oneDNN's reorder widens as well, but without AVX-512 one element at a time.
  if (w.dtype == Dtype::kBf16 && packs_f32(*impl_) && best_isa() < Isa::kAvx512) {
    widened = widen(w, n_, k_);
    source.data = widened.raw();
    source.dtype = Dtype::kF32;
    (w.column_stride == 1 ? source.row_stride : source.column_stride) = widened.dim(1);
  }
  const memory::desc view({n_, k_, 1, 1}, type_of(source.dtype),
                          memory::dims{source.row_stride, source.column_stride, k_, k_});
  return impl_->pack(view, source.data);
}

void Product::operator()(const void* x, const PackedWeight& w, const float* bias, float* y) const {
  (*impl_)(x, w, bias, y);
}

}  // namespace zimage::cpu::onednn
