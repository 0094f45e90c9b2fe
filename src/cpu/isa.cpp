#include "cpu/isa.h"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <ostream>

#include "core/check.h"

namespace zimage::cpu {
namespace {

constexpr std::array kAll{Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kBf16};
constexpr std::array<std::string_view, 4> kNames{"scalar", "avx2", "avx512", "bf16"};

// Two that clang 14 has no name for in __builtin_cpu_supports; the registers are those of AVX.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 29 & 1) != 0;
}

bool has_avx512_bf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 5 & 1) != 0;
}

// __builtin_cpu_supports also asks xgetbv whether the system saves the wide registers.
Isa detect() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c()) {
    return Isa::kScalar;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return Isa::kAvx2;
  }
  return has_avx512_bf16() ? Isa::kBf16 : Isa::kAvx512;
}

constexpr int kNoScope = -1;
std::atomic<int> g_scope{kNoScope};

}  // namespace

std::string_view name_of(Isa isa) { return kNames[static_cast<std::size_t>(isa)]; }

std::ostream& operator<<(std::ostream& out, Isa isa) { return out << name_of(isa); }

Isa isa_below(Isa machine, std::string_view cap) {
  if (cap.empty()) return machine;
  for (const Isa isa : kAll) {
    if (cap == name_of(isa)) return std::min(machine, isa);
  }
  throw Error(str("ZIMAGE_MAX_ISA is \"", cap, "\", expected scalar, avx2, avx512 or bf16"));
}

Isa best_isa() {
  static const Isa best = [] {
    const char* cap = std::getenv("ZIMAGE_MAX_ISA");
    return isa_below(detect(), cap == nullptr ? "" : cap);
  }();
  return best;
}

Isa current_isa() {
  const int scope = g_scope.load(std::memory_order_relaxed);
  return scope == kNoScope ? best_isa() : static_cast<Isa>(scope);
}

bool has_int8_instructions() {
  static const bool has_vnni = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 11 & 1) != 0;
  }();
  return has_vnni && current_isa() >= Isa::kAvx512;
}

IsaScope::IsaScope(Isa isa)
    : before_(g_scope.exchange(static_cast<int>(std::min(isa, best_isa())))) {}

IsaScope::~IsaScope() { g_scope.store(before_); }

}  // namespace zimage::cpu
