#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zimage {

// What this machine can do at most, all threads of the process together, measured by loops that do
// nothing else. 0: not available.
struct Peaks {
  double f32 = 0;     // GFLOP/s (a multiplication and an addition are two) of fused multiply-adds
  double bf16 = 0;    // GFLOP/s of bf16 dot products with f32 sums
  double int8 = 0;    // GOP/s of 8-bit dot products with 32-bit sums
  double memory = 0;  // GB/s read
};

// All calls of an operation with one shape and dtype.
struct OpProfile {
  std::string name;                 // "linear", "attention", "conv2d", "rms_norm", ...
  std::vector<std::int64_t> shape;  // docs/CLI.md says of what, for each operation
  std::string dtype;                // "F32", "BF16", "I8": of the weights or, without any, of x
  std::int64_t calls = 0;
  double seconds = 0;
  double flop = 0;   // 0 for what costs little more than reading and writing
  double bytes = 0;  // operands and results, each once
};

struct StageProfile {
  std::string name;  // "text encoder", "vae encoder", "transformer", "vae decoder"
  std::int64_t calls = 0;
  double seconds = 0;          // more than those of the operations: loading, what no operation does
  std::vector<OpProfile> ops;  // longest first

  double op_seconds() const;
  double flop() const;
};

// Where the time of a run went.
struct Profile {
  int threads = 0;
  std::string isa;     // "scalar", "avx2", "avx512", "bf16"
  double seconds = 0;  // of the whole run
  Peaks peaks;
  std::vector<StageProfile> stages;  // in the order in which they first ran
};

// The least time that the operation's calls can take at these peaks, by arithmetic or by memory,
// whichever is more. Above a cache's size of bytes that is a bound; what lies in a cache can beat
// it. bf16 work counts by the f32 peak where that is the higher one or the only one.
double seconds_at_peak(const OpProfile& op, const Peaks& peaks);
// Whether memory is what bounds it.
bool is_bound_by_memory(const OpProfile& op, const Peaks& peaks);

}  // namespace zimage
