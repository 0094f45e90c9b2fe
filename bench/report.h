#pragma once

#include <functional>
#include <string>
#include <vector>

#include "zimage/profile.h"

namespace zimage::bench {

enum class Limit { kF32, kBf16, kInt8, kMemory };

// One line of the report.
struct Row {
  std::string name;
  double seconds;  // the fastest run
  double amount;   // floating-point operations, or bytes with kMemory
  Limit limit;     // which peak bounds it

  double rate() const { return amount / seconds / 1e9; }  // GFLOP/s or GB/s
};

// What bf16 work is bounded by here: the bf16 peak, or the f32 peak where that is higher or the
// only one.
Limit bf16_limit(const Peaks& peaks);
double peak_of(const Peaks& peaks, Limit limit);

// Runs the work once to warm up, then until `min_seconds` have passed and at least `min_runs`
// times.
double fastest(const std::function<void()>& work, double min_seconds = 1, int min_runs = 3);

void print_header(const Peaks& peaks);
void print_row(const Row& row, const Peaks& peaks);
std::string json_of(const std::vector<Row>& rows, const Peaks& peaks);

}  // namespace zimage::bench
