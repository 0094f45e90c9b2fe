// One kernel, several instruction sets. The files of kernels/ are compiled for each of them
// (isa.cmake), and each file fills a table of function pointers. To add one (kernels/norm.h and
// .cpp show it):
//   kernels/foo.h    struct FooKernels { void (*foo)(...); };   in zimage::cpu
//                    ZIMAGE_KERNELS(FooKernels, foo_kernels)
//   kernels/foo.cpp  namespace zimage::cpu::ZIMAGE_ISA {
//                    const FooKernels foo_kernels = {.foo = foo};
//   a caller         foo_kernels().foo(...)
#pragma once

#include "cpu/isa.h"

namespace zimage::cpu {

template <class Table>
const Table& select(const Table& scalar, const Table& avx2, const Table& avx512) {
  const Isa isa = current_isa();
  return isa >= Isa::kAvx512 ? avx512 : isa >= Isa::kAvx2 ? avx2 : scalar;
}

}  // namespace zimage::cpu

#define ZIMAGE_KERNELS(Table, name)                                                     \
  namespace scalar {                                                                    \
  extern const Table name;                                                              \
  }                                                                                     \
  namespace avx2 {                                                                      \
  extern const Table name;                                                              \
  }                                                                                     \
  namespace avx512 {                                                                    \
  extern const Table name;                                                              \
  }                                                                                     \
  inline const Table& name() { return select(scalar::name, avx2::name, avx512::name); } \
  static_assert(true) /* takes the semicolon */
