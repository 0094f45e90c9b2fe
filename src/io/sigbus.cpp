#include "io/sigbus.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace zimage::sigbus {
namespace {

// A slot is empty while end is 0: it is the last to be set and the first to be cleared, so that the
// handler, which takes no lock, never sees half a range.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> hit{false};
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);
static_assert(std::atomic<bool>::is_always_lock_free);

std::array<Slot, kMaxRanges> slots;
std::uintptr_t page_bytes;
struct sigaction previous;

// Zeros from the page of `address` to the end of its range: whatever follows a missing page of a
// truncated file is missing too, and one mapping for all of it cannot run into the limit on their
// number. Only what is safe in a signal handler: atomics and a system call.
bool replace_by_zeros(std::uintptr_t address) {
  for (Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin, end = slot.end;
    if (address < begin || address >= end || slot.begin != begin) continue;
    const std::uintptr_t page = address / page_bytes * page_bytes;
    slot.hit = true;
    return mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return false;
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    ::signal(signal, SIG_DFL);  // the faulting instruction runs again and ends the process
    if (info->si_code <= 0) raise(signal);  // sent by a process: there is no such instruction
  } else {
    previous.sa_handler(signal);
  }
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool is_fault = info->si_code > 0;
  if (!is_fault || !replace_by_zeros(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
    pass_on(signal, info, context);
  }
  errno = saved_errno;
}

void install() {
  page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, nullptr, &previous);  // known before the handler can run
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

int watch(const std::byte* begin, std::size_t bytes) {
  static std::once_flag installed;
  std::call_once(installed, install);
  for (int i = 0; i < kMaxRanges; ++i) {
    if (slots[i].taken.exchange(true)) continue;
    slots[i].hit = false;
    slots[i].begin = reinterpret_cast<std::uintptr_t>(begin);
    slots[i].end = slots[i].begin + (bytes + page_bytes - 1) / page_bytes * page_bytes;
    return i;
  }
  return -1;
}

void unwatch(int slot) {
  slots[slot].end = 0;
  slots[slot].begin = 0;
  slots[slot].taken = false;
}

bool was_hit(int slot) { return slots[slot].hit; }

}  // namespace zimage::sigbus
