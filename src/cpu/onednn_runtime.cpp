#include "cpu/onednn_runtime.h"

#include "core/allocator.h"
#include "core/check.h"
#include "cpu/isa.h"

namespace zimage::cpu::onednn {
namespace {

using dnnl::memory;

dnnl::cpu_isa cap_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return dnnl::cpu_isa::sse41;
    case Isa::kAvx2: return dnnl::cpu_isa::avx2;
    case Isa::kAvx512: return dnnl::cpu_isa::avx512_core;
    case Isa::kBf16: break;
  }
  return dnnl::cpu_isa::all;
}

}  // namespace

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

dnnl::primitive_attr attributes(bool accumulates) {
  dnnl::primitive_attr attr;
  attr.set_fpmath_mode(dnnl::fpmath_mode::strict);
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulates) {
    dnnl::post_ops post_ops;
    post_ops.append_sum(1.0f);
    attr.set_post_ops(post_ops);
  }
  return attr;
}

memory bind(const memory::desc& desc, const void* data) {
  return memory(desc, engine(), const_cast<void*>(data));
}

void run(const dnnl::primitive& primitive, const memory::desc& scratchpad,
         Arguments arguments) try {
  std::shared_ptr<std::byte> buffer;
  if (const std::size_t bytes = scratchpad.get_size(); bytes > 0) {
    buffer = allocator::allocate(bytes);
    arguments.insert_or_assign(DNNL_ARG_SCRATCHPAD, bind(scratchpad, buffer.get()));
  }
  dnnl::stream stream(engine());
  primitive.execute(stream, arguments);
  stream.wait();
} catch (const dnnl::error& error) {
  throw Error(str("oneDNN: ", error.what()));
}

}  // namespace zimage::cpu::onednn
