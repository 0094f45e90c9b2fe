#pragma once

#include <cstdint>
#include <functional>

namespace zimage {

// The one thread pool (OpenMP's).

int hardware_threads();       // processors in the affinity mask, capped by the cgroup's cpu.max
int num_threads();            // what parallel_for uses; hardware_threads() at first
void set_num_threads(int n);  // n >= 1

// Runs task(i) for every i in [0, tasks), dynamically spread over the threads. Tasks must not
// depend on which thread runs them: fix block sizes by the shape alone, so that results are
// bit-identical for any number of threads. An exception in a task is rethrown here after the others
// have ended. Called from inside a task it runs serially.
void parallel_for(std::int64_t tasks, const std::function<void(std::int64_t)>& task);

// Whether the caller is a task of a parallel_for() that runs on several threads.
bool in_parallel();

// Splits [0, n) into blocks of `grain` (the last may be shorter) and runs body(begin, end) on each.
void parallel_blocks(std::int64_t n, std::int64_t grain,
                     const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace zimage
