#include <sys/statvfs.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/check.h"
#include "hub/blob.h"
#include "hub/cache.h"
#include "hub/hub.h"
#include "io/printable.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

void check_space(const Spec& spec, std::uint64_t bytes, const Options& options) {
  constexpr std::uint64_t kSpare = std::uint64_t{16} << 20;
  struct statvfs info {};
  if (statvfs(options.cache.c_str(), &info) != 0) return;
  const std::uint64_t available = std::uint64_t{info.f_bavail} * info.f_frsize;
  constexpr std::uint64_t kMb = 1000000;
  check(bytes + kSpare <= available, options.cache.string(), ": ", spec.repo, " needs ",
        bytes / kMb, " MB more, ", available / kMb,
        " MB are free; make room or set HF_HUB_CACHE to another disk");
}

void mark_cache(const fs::path& cache) {
  const fs::path tag = cache / "CACHEDIR.TAG";
  std::error_code error;
  if (fs::exists(tag, error)) return;
  constexpr std::string_view kText =
      "Signature: 8a477f597d28d172789f06886806bc55\n"
      "# This folder is a cache of models of the Hugging Face hub.\n";
  write_text(tag, kText);
}

// Fetches files side by side; the first failure stops the others.
class Crew {
 public:
  Crew(const Spec& spec, const Listing& listing, std::vector<const File*> files,
       const Options& options)
      : spec_(spec), listing_(listing), files_(std::move(files)), options_(options) {
    options_.is_cancelled = [this] { return has_failed_ || is_cancelled_; };
    for (const File* file : files_) total_ += file->size;
  }

  void run(const Options& given, const std::function<void(const Progress&)>& on_progress) {
    {
      std::vector<std::jthread> workers;
      try {
        start(workers);
        while (is_running()) {
          if (given.is_cancelled && given.is_cancelled()) is_cancelled_ = true;
          if (on_progress) on_progress(progress_now());
        }
        if (on_progress) on_progress(progress_now());
      } catch (...) {
        is_cancelled_ = true;  // else the workers, which are waited for here, would fetch all
        throw;
      }
    }
    if (failure_) std::rethrow_exception(failure_);
    if (is_cancelled_) throw Cancelled("cancelled");
  }

 private:
  void start(std::vector<std::jthread>& workers) {
    const int count = std::min(options_.parallel_files, static_cast<int>(files_.size()));
    for (int i = 0; i < count; ++i) {
      const std::lock_guard lock(mutex_);
      workers.emplace_back([this] { work(); });
      ++running_;
    }
  }

  // After a tenth of a second, or as soon as a worker is done.
  bool is_running() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    return running_ > 0;
  }

  Progress progress_now() const {
    const std::int64_t done = std::max<std::int64_t>(0, bytes_done_);
    return {files_done_, static_cast<int>(files_.size()), static_cast<std::uint64_t>(done), total_};
  }

  void work() {
    try {
      for (std::size_t i = next_++; i < files_.size() && !has_failed_; i = next_++)
        fetch(*files_[i]);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      has_failed_ = true;
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
  }

  void fetch(const File& file) {
    bytes_done_ += static_cast<std::int64_t>(bytes_there(spec_, file, options_));
    fetch_blob(spec_, listing_.commit, file, options_,
               [this](std::int64_t bytes) { bytes_done_ += bytes; });
    link_into_snapshot(spec_, listing_.commit, file, options_);
    ++files_done_;
  }

  const Spec& spec_;
  const Listing& listing_;
  std::vector<const File*> files_;
  Options options_;
  std::uint64_t total_ = 0;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::int64_t> bytes_done_ = 0;
  std::atomic<int> files_done_ = 0;
  std::atomic<bool> has_failed_ = false, is_cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr failure_;
  int running_ = 0;
};

}  // namespace

fs::path download(const Spec& spec, const Listing& listing, const Patterns& patterns,
                  const Options& options, const std::function<void(const Progress&)>& on_progress) {
  std::vector<const File*> missing;
  std::uint64_t bytes = 0;
  bool has_match = false;
  for (const File& file : listing.files) {
    if (!matches(patterns, file.path)) continue;
    has_match = true;
    if (is_cached(spec, listing.commit, file, options)) continue;
    missing.push_back(&file);
    bytes += file.size - bytes_there(spec, file, options);
  }
  std::string wanted;
  for (const std::string& pattern : patterns) wanted += (wanted.empty() ? "" : ", ") + pattern;
  check(has_match, spec.repo, " holds no file that matches ", wanted);
  mark_cache(options.cache);
  check_space(spec, bytes, options);
  write_tree(spec, listing, options);
  if (!missing.empty()) Crew(spec, listing, std::move(missing), options).run(options, on_progress);
  write_ref(spec, listing.commit, options);
  return snapshot_of(spec, listing.commit, options);
}

}  // namespace zimage::hub
