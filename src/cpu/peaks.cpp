#include "cpu/peaks.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace zimage::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// The best of several short tries counts: others share the machine.
constexpr long kRounds = 1'500'000;  // some 5 ms
constexpr int kTries = 20;
constexpr int kReads = 5;

// Written in assembly: compilers keep such accumulators in memory and show a third of the peak.
// Twelve or more chains of additions hide the latency of one. Every loop runs `rounds` times.
struct Loop {
  void (*run)(long rounds);
  double operations;  // per round
};

#define ZIMAGE_TWELVE(op, ymm)                                                            \
  op(ymm, 0) op(ymm, 1) op(ymm, 2) op(ymm, 3) op(ymm, 4) op(ymm, 5) op(ymm, 6) op(ymm, 7) \
      op(ymm, 8) op(ymm, 9) op(ymm, 10) op(ymm, 11)

#define ZIMAGE_FMA(r, i) "vfmadd231ps %%" r "14, %%" r "15, %%" r #i "\n"
#define ZIMAGE_DOT_BF16(r, i) "vdpbf16ps %%" r "14, %%" r "15, %%" r #i "\n"
#define ZIMAGE_DOT_INT8(r, i) "vpdpbusd %%" r "14, %%" r "15, %%" r #i "\n"
// 32 products of bytes, summed in pairs to 16 and then to 32 bits.
#define ZIMAGE_MADD_INT8(r, i)            \
  "vpmaddubsw %%" r "14, %%" r "15, %%" r \
  "12\n"                                  \
  "vpmaddwd %%" r "12, %%" r "13, %%" r   \
  "12\n"                                  \
  "vpaddd %%" r "12, %%" r #i ", %%" r #i "\n"

#define ZIMAGE_LOOP(name, op, registers)                                                        \
  void name(long rounds) {                                                                      \
    asm volatile(                                                                               \
        "vpxor %%xmm13, %%xmm13, %%xmm13\nvpxor %%xmm14, %%xmm14, %%xmm14\n"                    \
        "vpxor %%xmm15, %%xmm15, %%xmm15\n"                                                     \
        "1:\n" ZIMAGE_TWELVE(op, registers) "dec %0\njnz 1b\nvzeroupper\n"                      \
        : "+r"(rounds)                                                                          \
        :                                                                                       \
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
          "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                \
  }

ZIMAGE_LOOP(fma_avx2, ZIMAGE_FMA, "ymm")
ZIMAGE_LOOP(fma_avx512, ZIMAGE_FMA, "zmm")
ZIMAGE_LOOP(dot_bf16, ZIMAGE_DOT_BF16, "zmm")
ZIMAGE_LOOP(dot_int8, ZIMAGE_DOT_INT8, "zmm")
ZIMAGE_LOOP(madd_int8_avx2, ZIMAGE_MADD_INT8, "ymm")

#undef ZIMAGE_LOOP
#undef ZIMAGE_MADD_INT8
#undef ZIMAGE_DOT_INT8
#undef ZIMAGE_DOT_BF16
#undef ZIMAGE_FMA
#undef ZIMAGE_TWELVE

double seconds_of(const auto& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate_of(const Loop& loop) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const int threads = num_threads();
    const double seconds =
        seconds_of([&] { parallel_for(threads, [&](std::int64_t) { loop.run(kRounds); }); });
    best = std::max(best, threads * loop.operations * static_cast<double>(kRounds) / seconds / 1e9);
  }
  return best;
}

// Of a buffer that no cache holds.
double read_rate() {
  constexpr std::int64_t kBlocks = 256, kWords = (std::int64_t{1} << 29) / 8 / kBlocks;
  Tensor buffer = empty({kBlocks * kWords * 2}, Dtype::kF32);
  const auto block_of = [&](std::int64_t block) { return buffer.raw() + block * kWords * 8; };
  // Pages that were never written are all one page of zeros, which the cache holds.
  parallel_for(kBlocks, [&](std::int64_t i) { std::memset(block_of(i), 1, kWords * 8); });
  std::vector<std::uint64_t> sums(kBlocks);
  double best = 0;
  for (int i = 0; i < kReads; ++i) {
    const double seconds = seconds_of([&] {
      parallel_for(kBlocks, [&](std::int64_t block) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(block_of(block));
        std::uint64_t sum = 0;
        for (std::int64_t w = 0; w < kWords; ++w) sum += words[w];
        sums[static_cast<std::size_t>(block)] = sum;
      });
    });
    best = std::max(best, static_cast<double>(buffer.bytes()) / seconds / 1e9);
  }
  return sums[0] == 0 ? 0 : best;
}

}  // namespace

Peaks measure_peaks() {
  constexpr double kChains = 12;
  const Isa isa = current_isa();
  Peaks peaks;
  if (isa >= Isa::kAvx2) {
    peaks.f32 = rate_of({fma_avx2, kChains * 8 * 2});
    peaks.int8 = rate_of({madd_int8_avx2, kChains * 32 * 2});
  }
  if (isa >= Isa::kAvx512) {
    peaks.f32 = std::max(peaks.f32, rate_of({fma_avx512, kChains * 16 * 2}));
    if (has_int8_instructions()) peaks.int8 = rate_of({dot_int8, kChains * 64 * 2});
  }
  if (isa >= Isa::kBf16) peaks.bf16 = rate_of({dot_bf16, kChains * 32 * 2});
  peaks.memory = read_rate();
  allocator::trim();
  return peaks;
}

}  // namespace zimage::cpu
