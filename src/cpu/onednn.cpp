#include "cpu/onednn.h"

#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>

#include "core/allocator.h"
#include "core/check.h"
#include "cpu/isa.h"

namespace zimage::cpu::onednn {
namespace {

using dnnl::memory;

static_assert(DNNL_VERSION_MAJOR == 2, "3.x builds a primitive_desc without an operation desc");

// oneDNN asks OpenMP how many threads there are, when it creates a primitive and when it runs it.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

dnnl::cpu_isa cap_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return dnnl::cpu_isa::sse41;
    case Isa::kAvx2: return dnnl::cpu_isa::avx2;
    case Isa::kAvx512: return dnnl::cpu_isa::avx512_core;
    case Isa::kBf16: break;
  }
  return dnnl::cpu_isa::all;
}

const dnnl::engine& engine() {
  static const dnnl::engine instance = [] {
    dnnl::set_max_cpu_isa(cap_of(best_isa()));
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return instance;
}

memory::data_type type_of(Dtype dtype) {
  return dtype == Dtype::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

dnnl::primitive_attr strict_attr() {
  dnnl::primitive_attr attr;
  attr.set_fpmath_mode(dnnl::fpmath_mode::strict);  // whatever the environment says
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

memory bind(const memory::desc& desc, const void* data) {
  return memory(desc, engine(), const_cast<void*>(data));
}

using Arguments = std::unordered_map<int, memory>;

// Adds the scratchpad and runs.
void run(const dnnl::primitive& primitive, const memory::desc& scratchpad, Arguments arguments) {
  std::shared_ptr<std::byte> buffer;
  if (const std::size_t bytes = scratchpad.get_size(); bytes > 0) {
    buffer = allocator::allocate(bytes);
    arguments.insert_or_assign(DNNL_ARG_SCRATCHPAD, bind(scratchpad, buffer.get()));
  }
  dnnl::stream stream(engine());
  primitive.execute(stream, arguments);
  stream.wait();
}

dnnl::matmul::primitive_desc describe(const Matmul& shape, bool has_bias) {
  const memory::desc a({shape.m, shape.k}, type_of(shape.in), memory::dims{shape.a_stride, 1});
  const memory::dims b_strides =
      shape.b_is_transposed ? memory::dims{1, shape.b_stride} : memory::dims{shape.b_stride, 1};
  const memory::desc b({shape.k, shape.n}, type_of(shape.in), b_strides);
  const memory::desc c({shape.m, shape.n}, type_of(shape.out), memory::dims{shape.c_stride, 1});

  dnnl::primitive_attr attr = strict_attr();
  if (shape.accumulates) {
    dnnl::post_ops post_ops;
    post_ops.append_sum(1.0f);
    attr.set_post_ops(post_ops);
  }
  if (!has_bias) return {dnnl::matmul::desc(a, b, c), attr, engine()};
  const memory::desc bias({1, shape.n}, memory::data_type::f32, memory::format_tag::ab);
  return {dnnl::matmul::desc(a, b, bias, c), attr, engine()};
}

}  // namespace

// oneDNN keeps what it generated in a cache of its own (bounded), so that making a primitive again
// takes some 10 us.
void matmul(const Matmul& shape, const void* a, const void* b, const float* bias, void* c) try {
  const OneThread one_thread;
  const auto pd = describe(shape, bias != nullptr);
  Arguments arguments{{DNNL_ARG_SRC, bind(pd.src_desc(), a)},
                      {DNNL_ARG_WEIGHTS, bind(pd.weights_desc(), b)},
                      {DNNL_ARG_DST, bind(pd.dst_desc(), c)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, bind(pd.bias_desc(), bias));
  run(dnnl::matmul(pd), pd.scratchpad_desc(), std::move(arguments));
} catch (const dnnl::error& error) {
  throw Error(str("oneDNN matmul of ", shape.m, " x ", shape.k, " by ", shape.k, " x ", shape.n,
                  ": ", error.what()));
}

class PackedWeight {
 public:
  PackedWeight(const memory::desc& desc) : desc(desc), data(allocator::allocate(desc.get_size())) {}

  memory::desc desc;
  std::shared_ptr<std::byte> data;
};

struct Convolution::Impl {
  dnnl::convolution_forward::primitive_desc pd;
  dnnl::convolution_forward primitive;
  memory::desc weight;  // as stored in the file
};

Convolution::Convolution(const ConvShape& s, Dtype dtype, bool has_bias) try {
  const OneThread one_thread;
  const auto type = type_of(dtype);
  const memory::dims weight_dims{s.out, s.in, s.kernel_height, s.kernel_width};
  const memory::desc x({1, s.in, s.height, s.width}, type, memory::format_tag::nhwc);
  const memory::desc weight(weight_dims, type, memory::format_tag::any);
  const memory::desc y({1, s.out, s.out_height, s.out_width}, type, memory::format_tag::nhwc);
  const memory::desc bias =
      has_bias ? memory::desc({s.out}, memory::data_type::f32, memory::format_tag::a)
               : memory::desc();
  const dnnl::convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, weight, bias, y,
      {s.stride, s.stride}, {s.pad_top, s.pad_left}, {s.pad_bottom, s.pad_right});
  const dnnl::convolution_forward::primitive_desc pd(desc, strict_attr(), engine());
  impl_ = std::make_shared<Impl>(Impl{pd, dnnl::convolution_forward(pd),
                                      memory::desc(weight_dims, type, memory::format_tag::ohwi)});
} catch (const dnnl::error& error) {
  throw Error(str("oneDNN convolution of ", s.in, " to ", s.out, " channels, kernel ",
                  s.kernel_height, " x ", s.kernel_width, ": ", error.what()));
}

std::shared_ptr<const PackedWeight> Convolution::pack(const void* weight) const {
  const OneThread one_thread;
  auto packed = std::make_shared<PackedWeight>(impl_->pd.weights_desc());
  const dnnl::reorder::primitive_desc pd(engine(), impl_->weight, engine(), packed->desc,
                                         strict_attr());
  run(dnnl::reorder(pd), pd.scratchpad_desc(),
      {{DNNL_ARG_FROM, bind(impl_->weight, weight)},
       {DNNL_ARG_TO, bind(packed->desc, packed->data.get())}});
  return packed;
}

bool Convolution::can_use(const PackedWeight& weight) const {
  return weight.desc == impl_->pd.weights_desc();
}

void Convolution::operator()(const void* x, const PackedWeight& weight, const float* bias,
                             void* y) const {
  const OneThread one_thread;
  const auto& pd = impl_->pd;
  Arguments arguments{{DNNL_ARG_SRC, bind(pd.src_desc(), x)},
                      {DNNL_ARG_WEIGHTS, bind(weight.desc, weight.data.get())},
                      {DNNL_ARG_DST, bind(pd.dst_desc(), y)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, bind(pd.bias_desc(), bias));
  run(impl_->primitive, pd.scratchpad_desc(), std::move(arguments));
}

}  // namespace zimage::cpu::onednn
