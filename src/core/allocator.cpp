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

struct Block {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

class Cache {
 public:
  Block take(std::size_t bytes) {
    if (const Block cached = take_cached(bytes); cached.data != nullptr) return cached;
    drop_shorter(bytes);
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
    return {static_cast<std::byte*>(block), bytes};
  }

  void give(const Block& block) {
    const std::lock_guard lock(mutex_);
    free_.emplace(block.bytes, block.data);
    used_ -= block.bytes;
    cached_ += block.bytes;
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
  // A block that is free and not much longer than asked for, or none.
  Block take_cached(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto it = free_.lower_bound(bytes);
    if (it == free_.end() || it->first > bytes + bytes / 4) return {};
    const Block block{it->second, it->first};
    free_.erase(it);
    cached_ -= block.bytes;
    used_ += block.bytes;
    return block;
  }

  // Before a block is mapped: one that is free and somewhat shorter goes. What it served, the new
  // one will serve too, so that sequences of similar lengths in turn share their memory.
  void drop_shorter(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto it = free_.lower_bound(bytes);
    if (it == free_.begin()) return;
    --it;
    if (bytes > it->first + it->first / 4) return;
    munmap(it->second, it->first);
    cached_ -= it->first;
    free_.erase(it);
  }

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
  const Block block = cache().take(round_up(bytes));
  return {block.data, [block](std::byte*) { cache().give(block); }};
}

std::size_t rounded(std::size_t bytes) { return round_up(bytes); }
void trim() { cache().trim(); }
std::size_t used_bytes() { return cache().used(); }
std::size_t cached_bytes() { return cache().cached(); }
std::size_t peak_bytes() { return cache().peak(); }
void reset_peak() { cache().reset_peak(); }

}  // namespace zimage::allocator
