#include "cpu/kernels/product_dot.h"
#include "cpu/kernels/product_tile.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

struct Bf16Words {
  using Sums = F32x;
  static Sums add_product(U32x x, U32x panel, Sums sums) {
    return _mm512_dpbf16_ps(sums, bits_as<__m512bh>(x), bits_as<__m512bh>(panel));
  }
};

}  // namespace

const ProductKernel product_bf16 = multiply<Bf16Words>;

}  // namespace zimage::cpu::ZIMAGE_ISA
