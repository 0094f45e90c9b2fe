#include "core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>

#include "core/check.h"

namespace zimage::allocator {
namespace {

constexpr std::size_t kMinBlock = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Rounds up to one of eight sizes per power of two: at most 12.5 % is lost, and sizes meet again.
std::size_t round_up(std::size_t bytes) {
  bytes = std::max(bytes, kMinBlock);
  const std::size_t step = std::max(std::bit_floor(bytes) / 8, kMinBlock);
  return (bytes + step - 1) / step * step;
}

class Cache {
 public:
  std::byte* take(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = free_.find(bytes); it != free_.end()) {
        std::byte* block = it->second;
        free_.erase(it);
        cached_ -= bytes;
        used_ += bytes;
        return block;
      }
    }
    void* block = map(bytes);
    if (block == MAP_FAILED) {
      trim();
      block = map(bytes);
    }
    check(block != MAP_FAILED, "out of memory: the system refused ", bytes,
          " bytes for a tensor; a smaller picture needs less");
    if (bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
    const std::lock_guard lock(mutex_);
    used_ += bytes;
    peak_ = std::max(peak_, used_ + cached_);
    return static_cast<std::byte*>(block);
  }

  void give(std::byte* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    free_.emplace(bytes, block);
    used_ -= bytes;
    cached_ += bytes;
  }

  void trim() {
    const std::lock_guard lock(mutex_);
    for (const auto& [bytes, block] : free_) munmap(block, bytes);
    free_.clear();
    cached_ = 0;
  }

  std::size_t used() { return locked(used_); }
  std::size_t cached() { return locked(cached_); }
  std::size_t peak() { return locked(peak_); }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = used_ + cached_;
  }

 private:
  static void* map(std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  std::size_t locked(const std::size_t& value) {
    const std::lock_guard lock(mutex_);
    return value;
  }

  std::mutex mutex_;
  std::multimap<std::size_t, std::byte*> free_;  // by size
  std::size_t used_ = 0;
  std::size_t cached_ = 0;
  std::size_t peak_ = 0;
};

// Never destroyed: tensors in other static objects may outlive any order of destruction.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

}  // namespace

std::shared_ptr<std::byte> allocate(std::size_t bytes) {
  const std::size_t rounded = round_up(bytes);
  std::byte* block = cache().take(rounded);
  return {block, [rounded](std::byte* p) { cache().give(p, rounded); }};
}

void trim() { cache().trim(); }
std::size_t used_bytes() { return cache().used(); }
std::size_t cached_bytes() { return cache().cached(); }
std::size_t peak_bytes() { return cache().peak(); }
void reset_peak() { cache().reset_peak(); }

}  // namespace zimage::allocator
