#pragma once

namespace zimage::cpu {

// How a product of bf16 matrices is computed; sums are f32 either way.
enum class Bf16Path {
  kDot,     // the processor's bf16 instructions
  kExpand,  // to f32 in small pieces, then multiplied as f32
};

// The faster one, from what CPUID says: a measurement could turn out differently from run to run,
// and with it the order of sums.
Bf16Path bf16_path();

}  // namespace zimage::cpu
