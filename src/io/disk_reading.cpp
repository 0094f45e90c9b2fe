#include "io/disk_reading.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "core/check.h"
#include "io/mapped_file.h"
#include "io/open_file.h"

namespace zimage {
namespace {

constexpr std::size_t kChunk = std::size_t{8} << 20;  // a multiple of every block that disks have
constexpr int kChunks = 8;

// Past the cache, on a disk that can do so.
FileHandle open_direct(const std::filesystem::path& path) {
  FileHandle handle = open_regular_file(path).handle;
  (void)fcntl(handle.get(), F_SETFL, fcntl(handle.get(), F_GETFL) | O_DIRECT);
  return handle;
}

std::size_t size_of(const std::filesystem::path& path) {
  return static_cast<std::size_t>(open_regular_file(path).info.st_size);
}

bool read_chunk(const FileHandle& file, std::size_t chunk, void* to) {
  return pread(file.get(), to, kChunk, static_cast<off_t>(chunk * kChunk)) ==
         static_cast<ssize_t>(kChunk);
}

struct FreeMemory {
  void operator()(void* p) const { std::free(p); }
};

}  // namespace

std::uint64_t uncached_bytes(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  constexpr std::size_t kPart = std::size_t{1} << 30;
  std::vector<unsigned char> is_resident;
  std::uint64_t pages = 0;
  for (std::size_t at = 0; at < file->bytes().size(); at += kPart) {
    const std::size_t length = std::min(kPart, file->bytes().size() - at);
    is_resident.assign((length + page - 1) / page, 1);
    auto* const begin = const_cast<std::byte*>(file->bytes().data() + at);
    if (mincore(begin, length, is_resident.data()) != 0) return 0;
    for (const unsigned char flags : is_resident) pages += (flags & 1u) == 0;
  }
  return std::min<std::uint64_t>(pages * page, file->bytes().size());
}

double measure_read_rate(const std::vector<std::filesystem::path>& paths) {
  using Clock = std::chrono::steady_clock;
  const std::unique_ptr<void, FreeMemory> chunk(std::aligned_alloc(4096, kChunk));
  check(chunk != nullptr, "out of memory for ", kChunk, " bytes");
  std::size_t chunks = 0;
  for (const auto& path : paths) chunks += size_of(path) / kChunk;
  const std::size_t step = std::max<std::size_t>(1, chunks / kChunks);
  double bytes = 0, seconds = 0;
  std::size_t next = 0;  // of all files' chunks in a row
  for (const auto& path : paths) {
    const FileHandle file = open_direct(path);
    const std::size_t here = size_of(path) / kChunk;
    for (; next < here; next += step) {
      const auto start = Clock::now();
      if (!read_chunk(file, next, chunk.get())) continue;
      seconds += std::chrono::duration<double>(Clock::now() - start).count();
      bytes += kChunk;
    }
    next -= here;
  }
  constexpr double kEnough = 2 * kChunk;
  return bytes < kEnough ? 0 : bytes / std::max(seconds, 1e-6);
}

}  // namespace zimage
