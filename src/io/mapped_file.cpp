#include "io/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "core/check.h"
#include "io/sigbus.h"

namespace zimage {
namespace {

std::int64_t modified_ns(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// For all pages that the part touches.
void advise(std::span<const std::byte> part, int advice) {
  if (part.empty()) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size());
  madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  OpenFile opened = open_regular_file(path);
  const std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->handle_ = std::move(opened.handle);
  file->modified_ns_ = modified_ns(opened.info);
  const auto size = static_cast<std::size_t>(opened.info.st_size);
  if (size == 0) return file;  // the system maps no empty files

  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file->handle_.get(), 0);
  check(data != MAP_FAILED, shown(path), ": cannot be mapped into memory: ", error_text(errno));
  file->data_ = static_cast<std::byte*>(data);
  file->size_ = size;
  file->slot_ = sigbus::watch(file->data_, size);
  check(file->slot_ >= 0, shown(path), ": ", sigbus::kMaxRanges,
        " files are mapped already, expected at most that many at a time");
  return file;
}

MappedFile::~MappedFile() {
  if (slot_ >= 0) sigbus::unwatch(slot_);
  if (data_ != nullptr) munmap(data_, size_);
}

void MappedFile::check_intact() const {
  struct stat now {};
  check(fstat(handle_.get(), &now) == 0, shown(path_), ": ", error_text(errno));
  check(static_cast<std::size_t>(now.st_size) >= size_, shown(path_),
        ": the file was truncated while in use; it had ", size_, " bytes when opened");
  check(modified_ns(now) == modified_ns_, shown(path_),
        ": the file was written to while in use; what was read of it cannot be trusted");
  check(slot_ < 0 || !sigbus::was_hit(slot_), shown(path_),
        ": a part of the file could not be read; the disk or the network may have failed");
}

void MappedFile::release_pages(std::span<const std::byte> part) const {
  advise(part, MADV_DONTNEED);
}

void MappedFile::read_ahead(std::span<const std::byte> part) const { advise(part, MADV_WILLNEED); }

}  // namespace zimage
