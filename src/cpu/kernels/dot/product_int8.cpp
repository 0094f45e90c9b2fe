#include "cpu/kernels/product_dot.h"
#include "cpu/kernels/product_tile.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

struct Int8Words {
  using Sums = I32x;
  static Sums add_product(U32x x, U32x panel, Sums sums) {
    return bits_as<I32x>(
        _mm512_dpbusd_epi32(bits_as<__m512i>(sums), bits_as<__m512i>(panel), bits_as<__m512i>(x)));
  }
};

}  // namespace

const ProductKernel product_int8 = multiply<Int8Words>;

}  // namespace zimage::cpu::ZIMAGE_ISA
