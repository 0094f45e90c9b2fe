#include "pipeline/system_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace zimage {
namespace {

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

// The value of `key` in a file of "key value" lines, or with an empty key the only number in it.
std::uint64_t read_number(const char* path, const std::string& key = "") {
  std::ifstream file(path);
  std::uint64_t value = kUnknown;
  if (key.empty()) return file >> value ? value : kUnknown;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name;
    if (fields >> name >> value && name == key) return value;
  }
  return kUnknown;
}

// What the control group may still take; cached file pages count as free. kUnknown without a limit.
std::uint64_t cgroup_memory() {
  const std::uint64_t limit = read_number("/sys/fs/cgroup/memory.max");  // "max" is no number
  const std::uint64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  const std::uint64_t files = read_number("/sys/fs/cgroup/memory.stat", "file");
  const std::uint64_t held = used - std::min(used, files == kUnknown ? 0 : files);
  return limit - std::min(limit, held);
}

std::uint64_t own_status(const std::string& key) {
  const std::uint64_t kib = read_number("/proc/self/status", key);
  return kib == kUnknown ? 0 : kib * 1024;
}

}  // namespace

std::uint64_t available_memory() {
  const std::uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
  return std::min(kib == kUnknown ? kUnknown : kib * 1024, cgroup_memory());
}

std::uint64_t resident_memory() { return own_status("VmRSS:"); }
std::uint64_t peak_resident_memory() { return own_status("VmHWM:"); }

}  // namespace zimage
