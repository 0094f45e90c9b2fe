#include "io/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <thread>

#include "io/sigbus.h"
#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;

void write(const fs::path& path, std::size_t bytes, char value = 'x') {
  std::ofstream(path, std::ios::binary) << std::string(bytes, value);
}

// Touches every byte, so that each page is read.
std::uint64_t sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0}, [](auto sum, std::byte b) {
    return sum + std::to_integer<std::uint64_t>(b);
  });
}

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const TempDir dir;
  write(dir / "f", 100'001);
  const auto file = MappedFile::open(dir / "f");
  EXPECT_EQ(file->path(), dir / "f");
  EXPECT_EQ(file->bytes().size(), 100'001u);
  EXPECT_EQ(sum_of(file->bytes()), 100'001u * 'x');
  file->release_pages();
  EXPECT_EQ(sum_of(file->bytes()), 100'001u * 'x');
  file->check_intact();
}

TEST(MappedFile, MayBeEmpty) {
  const TempDir dir;
  write(dir / "f", 0);
  const auto file = MappedFile::open(dir / "f");
  EXPECT_TRUE(file->bytes().empty());
  file->check_intact();
  file->release_pages();
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  const auto error = [](const fs::path& path) {
    return error_of([&] { return MappedFile::open(path); });
  };
  EXPECT_THAT(error(dir / "pipe"), EndsWith(": is a pipe, expected a regular file"));
  EXPECT_THAT(error(dir.path()), EndsWith(": is a folder, expected a regular file"));
  EXPECT_EQ(error("/dev/zero"), "/dev/zero: is a device, expected a regular file");
  EXPECT_THAT(error(dir / "none"), EndsWith(": cannot be opened: No such file or directory"));
}

TEST(MappedFile, ReadsZerosWhereTheFileWasTruncatedAndSaysSo) {
  const TempDir dir;
  constexpr std::size_t kBytes = 64 << 20;  // many pages, met from several threads
  write(dir / "f", kBytes);
  const auto file = MappedFile::open(dir / "f");
  EXPECT_EQ(file->bytes()[kBytes - 1], std::byte{'x'});
  fs::resize_file(dir / "f", 8192);

  std::uint64_t upper = 0;
  std::thread other([&] { upper = sum_of(file->bytes().subspan(kBytes / 2)); });
  const std::uint64_t lower = sum_of(file->bytes().first(kBytes / 2));
  other.join();
  EXPECT_EQ(lower, 8192u * 'x');
  EXPECT_EQ(upper, 0u);
  EXPECT_EQ(error_of([&] { return file->check_intact(), 0; }),
            str((dir / "f").string(), ": the file was truncated while in use; it had ", kBytes,
                " bytes when opened"));
}

TEST(MappedFile, PagesThatFaultFromTheEndDownDoNotAddUp) {
  const TempDir dir;
  constexpr std::size_t kPage = 4096, kPages = 100'000;  // above the usual limit of mappings, 65530
  write(dir / "f", 1);
  fs::resize_file(dir / "f", kPage * kPages);  // sparse
  const auto file = MappedFile::open(dir / "f");
  fs::resize_file(dir / "f", 0);
  std::uint64_t sum = 0;
  for (std::size_t page = kPages; page-- > 0;) {
    sum += std::to_integer<std::uint64_t>(file->bytes()[page * kPage]);
  }
  EXPECT_EQ(sum, 0u);
}

TEST(MappedFile, NoticesTruncationThatNoReadMet) {
  const TempDir dir;
  write(dir / "f", 5000);
  const auto file = MappedFile::open(dir / "f");
  fs::resize_file(dir / "f", 4999);
  EXPECT_THAT(error_of([&] { return file->check_intact(), 0; }),
              HasSubstr("was truncated while in use"));
}

TEST(MappedFile, NoticesThatTheFileWasOverwrittenInPlace) {
  const TempDir dir;
  write(dir / "f", 5000);
  const auto file = MappedFile::open(dir / "f");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the clock of the file system ticks
  write(dir / "f", 5000, 'y');
  EXPECT_THAT(error_of([&] { return file->check_intact(), 0; }),
              HasSubstr("was written to while in use"));
}

TEST(MappedFile, KeepsTheOldContentWhenAnotherFileTakesItsName) {
  const TempDir dir;
  write(dir / "f", 5000);
  const auto file = MappedFile::open(dir / "f");
  write(dir / "g", 10, 'y');
  fs::rename(dir / "g", dir / "f");
  EXPECT_EQ(sum_of(file->bytes()), 5000u * 'x');
  file->check_intact();
  fs::remove(dir / "f");
  file->check_intact();
}

TEST(MappedFile, TooManyAtATimeAreRefusedAndClosingMakesRoom) {
  const TempDir dir;
  write(dir / "f", 10);
  std::vector<std::shared_ptr<const MappedFile>> files;
  for (int i = 0; i < sigbus::kMaxRanges; ++i) files.push_back(MappedFile::open(dir / "f"));
  EXPECT_EQ(error_of([&] { return MappedFile::open(dir / "f"); }),
            str((dir / "f").string(),
                ": 256 files are mapped already, expected at most that many at a time"));
  files.pop_back();
  files.push_back(MappedFile::open(dir / "f"));
  EXPECT_EQ(files.back()->bytes().size(), 10u);
}

TEST(MappedFile, ThreadsOpenAndCloseAtOnce) {
  const TempDir dir;
  write(dir / "f", 10'000);
  fs::copy(dir / "f", dir / "short");
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      const auto file = MappedFile::open(dir / "f");
      if (sum_of(file->bytes()) != 10'000u * 'x') throw Error("wrong bytes");
    }
  };
  std::thread a(work), b(work);
  const auto cut = MappedFile::open(dir / "short");
  fs::resize_file(dir / "short", 0);
  EXPECT_EQ(sum_of(cut->bytes()), 0u);
  a.join();
  b.join();
}

// Reads a page past the end of a file that is mapped without MappedFile.
void fault_elsewhere() {
  const int fd = memfd_create("elsewhere", 0);
  const auto* page =
      static_cast<const volatile char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
  (void)*page;
}

class MappedFileDeathTest : public testing::Test {
 protected:
  // A fresh process each, in which no handler is installed yet.
  MappedFileDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(MappedFileDeathTest, ForeignFaultsReachTheHandlerThatWasThereBefore) {
  const auto run = [] {
    struct sigaction action {};
    action.sa_handler = [](int) { _exit(42); };
    sigaction(SIGBUS, &action, nullptr);
    const auto file = MappedFile::open(test_data("safetensors/reference.safetensors"));
    fault_elsewhere();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(42), "");
}

TEST_F(MappedFileDeathTest, ForeignFaultsEndTheProcessWhereNobodyHandlesThem) {
  const auto run = [] {
    const auto file = MappedFile::open(test_data("safetensors/reference.safetensors"));
    fault_elsewhere();
  };
  EXPECT_DEATH(run(), "");
}

TEST_F(MappedFileDeathTest, SigbusSentByAProcessIsNotTakenForAFault) {
  const auto run = [] {
    const auto file = MappedFile::open(test_data("safetensors/reference.safetensors"));
    raise(SIGBUS);
  };
  EXPECT_DEATH(run(), "");
}

}  // namespace
}  // namespace zimage
