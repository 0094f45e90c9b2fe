// Running a test body on every instruction set of the machine, and on several numbers of threads.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "core/tensor.h"
#include "cpu/isa.h"
#include "testing.h"

namespace zimage {

// One unit of f32 in the last place, relative.
inline constexpr double kF32Ulp = 1.0 / (1 << 23);

template <class Body>
void on_every_isa(Body&& body) {
  for (const cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    if (isa > cpu::best_isa()) break;
    SCOPED_TRACE(str("isa = ", isa));
    const cpu::IsaScope scope(isa);
    body();
  }
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// Passes when 2 and 3 threads give the bits of one.
inline testing::AssertionResult is_thread_invariant(const std::function<Tensor()>& op) {
  Tensor alone;
  {
    const ThreadCount one(1);
    alone = op();
  }
  for (const int threads : {2, 3}) {
    const ThreadCount several(threads);
    if (!same_bits(op(), alone)) {
      return testing::AssertionFailure() << threads << " threads give another result than one";
    }
  }
  return testing::AssertionSuccess();
}

// What a result of `dtype` may be off: `f32_error`, and for bf16 the rounding on the way out.
inline double tolerance(Dtype dtype, double f32_error) {
  return dtype == Dtype::kBf16 ? kBf16Epsilon + f32_error : f32_error;
}

}  // namespace zimage
