#include "cpu/bf16_speed.h"

#include <cpuid.h>

#include "cpu/isa.h"

namespace zimage::cpu {
namespace {

constexpr unsigned kAvx512Fp16 = 1u << 23;  // leaf 7, edx

// Intel's cores since Sapphire Rapids leave bf16 to AMX, which is not used here: vdpbf16ps does 32
// products in two cycles where the two f32 FMA units do 64. AMD's (Zen 4 and 5) run it at full
// speed.
bool dot_is_slower_than_f32() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0 || b != signature_INTEL_ebx) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (d & kAvx512Fp16) != 0;
}

}  // namespace

Bf16Path bf16_path() {
  static const bool dot_is_slow = dot_is_slower_than_f32();
  return has_bf16_instructions() && !dot_is_slow ? Bf16Path::kDot : Bf16Path::kExpand;
}

}  // namespace zimage::cpu
