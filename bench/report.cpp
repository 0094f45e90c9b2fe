#include "report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace zimage::bench {

Limit bf16_limit(const Peaks& peaks) { return peaks.bf16 > peaks.f32 ? Limit::kBf16 : Limit::kF32; }

double peak_of(const Peaks& peaks, Limit limit) {
  switch (limit) {
    case Limit::kF32: return peaks.f32;
    case Limit::kBf16: return peaks.bf16;
    case Limit::kInt8: return peaks.int8;
    case Limit::kMemory: return peaks.memory;
  }
  return 0;
}

double fastest(const std::function<void()>& work, double min_seconds, int min_runs) {
  using Clock = std::chrono::steady_clock;
  work();
  double best = 1e30, total = 0;
  for (int runs = 0; runs < min_runs || total < min_seconds; ++runs) {
    const auto start = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

void print_header(const Peaks& peaks) {
  std::printf("%d threads, %s\n", num_threads(), std::string(name_of(cpu::current_isa())).c_str());
  std::printf("peaks: f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, int8 %.0f GOP/s, memory %.1f GB/s\n\n",
              peaks.f32, peaks.bf16, peaks.int8, peaks.memory);
  std::printf("%-44s %12s %12s %8s\n", "", "ms", "GFLOP/s", "% peak");
}

void print_row(const Row& row, const Peaks& peaks) {
  std::printf("%-44s %12.3f %12.1f %7.1f%%%s\n", row.name.c_str(), 1e3 * row.seconds, row.rate(),
              100 * row.rate() / peak_of(peaks, row.limit),
              row.limit == Limit::kMemory ? " (GB/s)" : "");
  std::fflush(stdout);
}

std::string json_of(const std::vector<Row>& rows, const Peaks& peaks) {
  nlohmann::ordered_json out{{"threads", num_threads()},
                             {"isa", name_of(cpu::current_isa())},
                             {"peaks",
                              {{"f32_gflops", peaks.f32},
                               {"bf16_gflops", peaks.bf16},
                               {"int8_gops", peaks.int8},
                               {"memory_gbps", peaks.memory}}},
                             {"rows", nlohmann::ordered_json::array()}};
  for (const Row& row : rows) {
    out["rows"].push_back({{"name", row.name},
                           {"seconds", row.seconds},
                           {"rate", row.rate()},
                           {"share_of_peak", row.rate() / peak_of(peaks, row.limit)}});
  }
  return out.dump(1);
}

}  // namespace zimage::bench
