#include "core/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>

namespace zimage {
namespace {

// cgroup v2 writes "max 100000" or "QUOTA PERIOD" in microseconds; absent outside a container.
int cgroup_limit(int processors) {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return processors;
  const double limit = std::atof(quota.c_str()) / period;
  return std::clamp(static_cast<int>(std::ceil(limit)), 1, processors);
}

int count_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int visible =
      sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
  return cgroup_limit(std::max(visible, 1));
}

std::atomic<int> g_threads{0};  // 0: not set yet

}  // namespace

int hardware_threads() {
  static const int n = count_processors();
  return n;
}

int num_threads() {
  const int n = g_threads.load(std::memory_order_relaxed);
  return n > 0 ? n : hardware_threads();
}

void set_num_threads(int n) { g_threads.store(std::max(n, 1), std::memory_order_relaxed); }

bool in_parallel() { return omp_in_parallel() != 0; }

void parallel_for(std::int64_t tasks, const std::function<void(std::int64_t)>& task) {
  if (tasks <= 0) return;
  if (tasks == 1 || num_threads() == 1 || in_parallel()) {
    for (std::int64_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  std::exception_ptr error;
  std::mutex mutex;
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), tasks));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < tasks; ++i) {
    try {
      task(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

void parallel_blocks(std::int64_t n, std::int64_t grain,
                     const std::function<void(std::int64_t, std::int64_t)>& body) {
  parallel_for((n + grain - 1) / grain,
               [&](std::int64_t i) { body(i * grain, std::min((i + 1) * grain, n)); });
}

}  // namespace zimage
