#pragma once

#include "cpu/kernels/product.h"

namespace zimage::cpu {

// Products by instructions beyond kAvx512's; panels are those of kAvx512's kernels.
namespace avx512_bf16 {
extern const ProductKernel product_bf16;  // ProductKind::kBf16
}
namespace avx512_vnni {
extern const ProductKernel product_int8;  // ProductKind::kInt8
}

}  // namespace zimage::cpu
