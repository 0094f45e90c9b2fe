#include "hub/blob.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>

#include "core/check.h"
#include "core/log.h"
#include "hub/ask.h"
#include "hub/cache.h"
#include "hub/digest.h"
#include "io/open_file.h"
#include "io/printable.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

fs::path blob_path(const Spec& spec, const File& file, const Options& options) {
  return repo_folder(spec, options) / "blobs" / file.blob;
}

// Not the Python client's name, which deletes what it finds under its own.
fs::path partial_path(const fs::path& blob) { return blob.string() + ".zimage-part"; }
fs::path etag_path(const fs::path& blob) { return blob.string() + ".zimage-part-etag"; }

// The advisory lock of one blob, shared with huggingface_hub.
class BlobLock {
 public:
  BlobLock(const Spec& spec, const File& file, const Options& options) {
    const fs::path folder = options.cache / ".locks" / repo_folder(spec, options).filename();
    create_folders(folder);
    const fs::path path = folder / (file.blob + ".lock");
    handle_ = FileHandle(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664));
    check(handle_.is_open(), path.string(), ": cannot lock: ", error_text(errno));
    bool has_told = false;
    while (flock(handle_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == ENOTSUP || errno == ENOLCK || errno == EINVAL) return;  // a system without locks
      check(errno == EWOULDBLOCK || errno == EINTR, path.string(),
            ": cannot lock: ", error_text(errno));
      if (!has_told) log_info("waiting for another program to fetch ", printable(file.path));
      has_told = true;
      wait(0.1, options);
    }
  }

 private:
  FileHandle handle_;  // closing it gives the lock back
};

std::string content_of(const fs::path& path) {
  std::ifstream in(path);
  std::string text;
  std::getline(in, text);
  return text;
}

// A download of one blob into its partial file.
class Partial {
 public:
  Partial(const fs::path& blob, const File& file)
      : blob_(blob), file_(file), path_(partial_path(blob)), digest_(file.is_lfs, file.size) {
    handle_ = FileHandle(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    check(handle_.is_open(), path_.string(), ": cannot write: ", error_text(errno));
    read_what_is_there();
  }

  std::uint64_t size() const { return size_; }
  bool is_complete() const { return size_ == file_.size; }

  void restart() {
    check(ftruncate(handle_.get(), 0) == 0 && lseek(handle_.get(), 0, SEEK_SET) == 0,
          path_.string(), ": cannot write: ", error_text(errno));
    size_ = 0;
    digest_ = Digest(file_.is_lfs, file_.size);
  }

  void append(std::span<const std::byte> bytes) {
    check(bytes.size() <= file_.size - size_, printable(file_.path),
          ": the hub sends more than the ", file_.size, " bytes of its listing");
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(handle_.get(), bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      check(n > 0, path_.string(), ": cannot write: ", error_text(errno));
      done += static_cast<std::size_t>(n);
    }
    digest_.update(bytes);
    size_ += bytes.size();
  }

  // Whether the bytes are those that the hub's listing promised; then they are at their place.
  bool commit() {
    if (digest_.hex() != file_.blob) {
      restart();
      return false;
    }
    check(fsync(handle_.get()) == 0, path_.string(), ": cannot write: ", error_text(errno));
    std::error_code error;
    fs::rename(path_, blob_, error);
    check(!error, blob_.string(), ": cannot rename: ", error.message());
    fs::remove(etag_path(blob_), error);
    return true;
  }

 private:
  void read_what_is_there() {
    std::array<std::byte, std::size_t{1} << 16> buffer{};
    while (true) {
      const ssize_t n = ::read(handle_.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      check(n >= 0, path_.string(), ": cannot read: ", error_text(errno));
      if (n == 0) break;
      digest_.update({buffer.data(), static_cast<std::size_t>(n)});
      size_ += static_cast<std::uint64_t>(n);
    }
    if (size_ > file_.size) restart();
  }

  fs::path blob_;
  const File& file_;
  fs::path path_;
  FileHandle handle_;
  Digest digest_;
  std::uint64_t size_ = 0;
};

std::string url_of(const Spec& spec, const std::string& commit, const File& file,
                   const Options& options) {
  std::string url = str(options.endpoint, "/", spec.repo, "/resolve/", commit);
  std::size_t begin = 0;
  while (begin <= file.path.size()) {
    const std::size_t end = std::min(file.path.find('/', begin), file.path.size());
    url += '/';
    url += percent_encoded(file.path.substr(begin, end - begin));
    begin = end + 1;
  }
  return url;
}

// "bytes 100-199/200" begins at `begin`.
bool begins_at(const std::string& content_range, std::uint64_t begin) {
  return content_range.starts_with(str("bytes ", begin, "-"));
}

// One request; the answer either goes on behind what is there or starts over.
void receive(const Spec& spec, const std::string& commit, const File& file, Partial& partial,
             const fs::path& blob, const Options& options,
             const std::function<void(std::int64_t)>& on_bytes) {
  HttpRequest request{.url = url_of(spec, commit, file, options), .token = options.token};
  request.range_begin = partial.size();
  if (request.range_begin > 0) request.if_range = content_of(etag_path(blob));
  request.stall_seconds = options.stall_seconds;
  request.is_cancelled = options.is_cancelled;
  bool is_wanted = false;
  request.on_headers = [&](const HttpResponse& response) {
    is_wanted = response.status == 200 || response.status == 206;
    if (!is_wanted) return;
    const std::string encoding = response.header("content-encoding");
    check(encoding.empty() || encoding == "identity", printable(file.path),
          ": the answer is encoded as ", printable(encoding),
          ", expected the file's own bytes; is a proxy in between?");
    const bool goes_on =
        response.status == 206 && begins_at(response.header("content-range"), request.range_begin);
    if (!goes_on && partial.size() > 0) {
      on_bytes(-static_cast<std::int64_t>(partial.size()));
      partial.restart();
    }
    check(response.status == 200 || goes_on, printable(file.path), ": the hub answers with ",
          printable(response.header("content-range")), ", expected bytes from ",
          request.range_begin, " on");
    const std::string etag = response.header("etag");
    write_text(etag_path(blob), etag.starts_with('"') ? etag : "");
  };
  request.on_body = [&](std::span<const std::byte> bytes) {
    if (!is_wanted) return;
    partial.append(bytes);
    on_bytes(static_cast<std::int64_t>(bytes.size()));
  };
  const HttpResponse response = http_get(request);
  if (response.status == 416) {  // nothing behind what is there: what is there is wrong
    on_bytes(-static_cast<std::int64_t>(partial.size()));
    partial.restart();
    throw TransportError("HTTP 416");
  }
  throw_unless_ok(response, spec, str(spec.repo, "/", printable(file.path)), options);
  if (!partial.is_complete()) throw TransportError("the transfer broke off");
}

}  // namespace

bool has_blob(const Spec& spec, const File& file, const Options& options) {
  std::error_code error;
  return fs::file_size(blob_path(spec, file, options), error) == file.size && !error;
}

std::uint64_t bytes_there(const Spec& spec, const File& file, const Options& options) {
  if (has_blob(spec, file, options)) return file.size;
  std::error_code error;
  const auto size = fs::file_size(partial_path(blob_path(spec, file, options)), error);
  return error || size > file.size ? 0 : size;
}

void fetch_blob(const Spec& spec, const std::string& commit, const File& file,
                const Options& options, const std::function<void(std::int64_t)>& on_bytes) {
  constexpr int kTries = 6, kWrongHashes = 2;
  const fs::path blob = blob_path(spec, file, options);
  create_folders(blob.parent_path());
  const BlobLock lock(spec, file, options);
  if (has_blob(spec, file, options)) return;  // another program's work
  Partial partial(blob, file);
  double pause = options.retry_seconds;
  std::uint64_t furthest = partial.size();
  for (int tries = 1, wrong = 0;; ++tries) {
    try {
      if (!partial.is_complete()) {
        receive(spec, commit, file, partial, blob, options, on_bytes);
      }
      if (partial.commit()) return;
      on_bytes(-static_cast<std::int64_t>(file.size));
      check(++wrong < kWrongHashes, spec.repo, "/", printable(file.path),
            ": what the hub sends does not have the hash of its listing, ", file.blob,
            "; nothing was kept, try again later");
      log_warning(printable(file.path), ": the bytes received have a wrong hash; once more");
    } catch (const TransportError& failure) {
      if (partial.size() > furthest) {  // it does get on
        tries = 1;
        pause = options.retry_seconds;
        furthest = partial.size();
      }
      check(tries < kTries, spec.repo, "/", printable(file.path), ": ", failure.what(),
            "; what was received stays for the next try");
      const double seconds = std::max(pause, failure.seconds());
      log_info(printable(file.path), ": ", failure.what(), "; going on in ", seconds, " s");
      wait(seconds, options);
      pause *= 2;
    }
  }
}

}  // namespace zimage::hub
