#include "cpu/kernels/low_rank.h"

#include "cpu/kernels/visit.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

template <class T>
void add_to(const LowRankRow& row, const T* down) {
  // The sums of some channels stay in registers while `down` streams past; several, because one
  // chain would wait out the latency of every FMA.
  constexpr int kSums = 4;
  std::int64_t c = 0;
  for (; c + kSums * kLanes <= row.n; c += kSums * kLanes) {
    F32x sums[kSums];
    for (int i = 0; i < kSums; ++i) sums[i] = load(row.values + c + i * kLanes);
    for (std::int64_t r = 0; r < row.rank; ++r) {
      const F32x factor = broadcast(row.up[r]);
      const T* const x = down + r * row.stride + c;
      for (int i = 0; i < kSums; ++i) sums[i] = mul_add(factor, load(x + i * kLanes), sums[i]);
    }
    for (int i = 0; i < kSums; ++i) store(sums[i], row.values + c + i * kLanes);
  }
  for_lanes(row.n - c, [&](std::int64_t i, auto lanes) {
    F32x sum = load_up_to(row.values + c + i, lanes);
    for (std::int64_t r = 0; r < row.rank; ++r) {
      sum = mul_add(broadcast(row.up[r]), load_up_to(down + r * row.stride + c + i, lanes), sum);
    }
    store_up_to(sum, row.values + c + i, lanes);
  });
}

void add(const LowRankRow& row) {
  visit(row.down, row.dtype, [&](const auto* down) { add_to(row, down); });
}

}  // namespace

const LowRankKernels low_rank_kernels = {.add = add};

}  // namespace zimage::cpu::ZIMAGE_ISA
