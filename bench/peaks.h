#pragma once

namespace zimage::bench {

// What this machine can do at most, all threads of the process together, measured by loops that do
// nothing else. 0: not available.
struct Peaks {
  double f32 = 0;     // GFLOP/s (a multiplication and an addition are two) of fused multiply-adds
  double bf16 = 0;    // GFLOP/s of bf16 dot products with f32 sums
  double int8 = 0;    // GOP/s of 8-bit dot products with 32-bit sums
  double memory = 0;  // GB/s read
};

// Uses instructions up to current_isa().
Peaks measure_peaks();

}  // namespace zimage::bench
