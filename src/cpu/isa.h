#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace zimage::cpu {

// What kernels may use; each level includes those before it.
enum class Isa : std::uint8_t {
  kScalar,  // any x86-64
  kAvx2,    // AVX2, FMA, F16C
  kAvx512,  // AVX-512 F, BW, VL, DQ
  kBf16,    // AVX-512 BF16: one kernel more, otherwise those of kAvx512
};

std::string_view name_of(Isa isa);  // "scalar", "avx2", "avx512", "bf16"
std::ostream& operator<<(std::ostream& out, Isa isa);

// The level of `cap`, which is "" for no limit. Throws Error for any other word.
Isa isa_below(Isa machine, std::string_view cap);

// What processor and system support, lowered by the environment variable ZIMAGE_MAX_ISA (one of the
// names above). Throws Error when the variable holds something else.
Isa best_isa();

Isa current_isa();  // best_isa(), unless an IsaScope lowers it

inline bool has_bf16_instructions() { return current_isa() >= Isa::kBf16; }
// AVX-512 VNNI, from kAvx512 on.
bool has_int8_instructions();

// Lowers current_isa() to `isa` (never above best_isa()) for its lifetime and for all threads: how
// tests run every kernel. One at a time.
class IsaScope {
 public:
  explicit IsaScope(Isa isa);
  ~IsaScope();
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  int before_;
};

}  // namespace zimage::cpu
