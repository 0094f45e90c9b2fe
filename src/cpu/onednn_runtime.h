// What the onednn*.cpp files share; for them alone, as it shows oneDNN's types.
#pragma once

#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>

#include "core/dtype.h"

namespace zimage::cpu::onednn {

static_assert(DNNL_VERSION_MAJOR == 2, "3.x makes a primitive_desc without an operation desc");

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

const dnnl::engine& engine();
dnnl::memory::data_type type_of(Dtype dtype);  // kF32 or kBf16

// f32 stays f32 whatever the environment says; scratch memory comes from our allocator.
dnnl::primitive_attr attributes(bool accumulates = false);

// A view of somebody's data.
dnnl::memory bind(const dnnl::memory::desc& desc, const void* data);

using Arguments = std::unordered_map<int, dnnl::memory>;

// Adds the scratch memory and runs to the end.
void run(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
         Arguments arguments);

}  // namespace zimage::cpu::onednn
