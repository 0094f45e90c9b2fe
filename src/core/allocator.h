#pragma once

#include <cstddef>
#include <memory>

namespace zimage {

// Memory of the activations. Freed blocks are kept and handed out again, so that a denoise loop
// asks the system for memory in its first step only; a block also serves sizes that are somewhat
// smaller. All functions may be called from any thread.
namespace allocator {

inline constexpr std::size_t kAlignment = 64;  // bytes: a cache line, a zmm register

// Uninitialised, kAlignment-aligned; goes back to the cache with its last owner.
// Throws Error when the system has no memory.
std::shared_ptr<std::byte> allocate(std::size_t bytes);

std::size_t rounded(std::size_t bytes);  // what allocate() takes for a tensor of that size

void trim();                 // gives every cached block back to the system
std::size_t used_bytes();    // in live tensors
std::size_t cached_bytes();  // kept for reuse
std::size_t peak_bytes();    // highest used + cached since reset_peak()
void reset_peak();

}  // namespace allocator
}  // namespace zimage
