#include "io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "io/new_folder.h"
#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string content_of(const fs::path& path) {
  const auto bytes = read_file(path, 1 << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// The largest file that this process may write, with an error instead of a signal beyond it.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal_before_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, signal_before_);
  }

 private:
  rlimit before_{};
  sighandler_t signal_before_;
};

// Root may write everywhere; tests about rights run as nobody.
class WithoutRoot {
 public:
  WithoutRoot() : was_root_(geteuid() == 0) {
    if (was_root_ && seteuid(65534) != 0) throw Error("seteuid failed");
  }
  ~WithoutRoot() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }

 private:
  bool was_root_;
};

TEST(ReadFile, ReturnsEveryByte) {
  const TempDir dir;
  for (const std::size_t size : {0u, 1u, 4096u, 100'001u}) {
    SCOPED_TRACE(size);
    const std::string text(size, 'x');
    std::ofstream(dir / "f") << text;
    EXPECT_EQ(content_of(dir / "f"), text);
  }
}

TEST(ReadFile, ReadsFilesThatStateNoSize) {
  EXPECT_THAT(content_of("/proc/self/status"), StartsWith("Name:"));
}

TEST(ReadFile, RefusesLargeFilesWithoutReadingThem) {
  const TempDir dir;
  std::ofstream(dir / "f") << "12345";
  EXPECT_EQ(read_file(dir / "f", 5).size(), 5u);
  EXPECT_EQ(error_of([&] { return read_file(dir / "f", 4); }),
            str((dir / "f").string(), ": has 5 bytes or more, expected at most 4"));
  fs::resize_file(dir / "f", std::uintmax_t{1} << 40);  // sparse
  EXPECT_THAT(error_of([&] { return read_file(dir / "f", 1 << 20); }),
              HasSubstr("1099511627776 bytes"));
}

TEST(ReadFile, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  fs::create_symlink("loop", dir / "loop");
  const auto error = [](const fs::path& path) {
    return error_of([&] { return read_file(path, 100); });
  };
  EXPECT_THAT(error(dir.path()), EndsWith(": is a folder, expected a regular file"));
  EXPECT_THAT(error(dir / "pipe"), EndsWith(": is a pipe, expected a regular file"));
  EXPECT_EQ(error("/dev/zero"), "/dev/zero: is a device, expected a regular file");
  EXPECT_THAT(error(dir / "loop"), HasSubstr(": cannot be opened: Too many levels"));
  EXPECT_THAT(error(dir / std::string(300, 'x')), HasSubstr("File name too long"));
  EXPECT_EQ(error(""), "an empty path, expected the name of a file");
  EXPECT_EQ(error(fs::path(std::string("a\0b", 3))), "a\\x00b: a path cannot hold a NUL character");
}

TEST(ReadFile, MessageIsOneLineWhateverTheName) {
  EXPECT_EQ(error_of([] { return read_file("no\nsuch\x1b[31m", 1); }),
            "no\\x0asuch\\x1b[31m: cannot be opened: No such file or directory");
}

TEST(WriteFile, ReplacesTheContentAndLeavesNothingElse) {
  const TempDir dir;
  const auto path = dir / std::string(255, 'n');  // no room for a longer temporary name
  write_file(path, bytes_of("first"));
  write_file(path, bytes_of("second"));
  EXPECT_EQ(content_of(path), "second");
  write_file(path, {});
  EXPECT_EQ(content_of(path), "");
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(WriteFile, TakesNamesWithoutAFolder) {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  write_file("f", bytes_of("x"));
  fs::current_path(before);
  EXPECT_EQ(content_of(dir / "f"), "x");
}

TEST(WriteFile, FollowsTheUmask) {
  const TempDir dir;
  const mode_t before = umask(027);
  write_file(dir / "f", bytes_of("x"));
  umask(before);
  EXPECT_EQ(fs::status(dir / "f").permissions(), fs::perms(0640));
}

TEST(WriteFile, ReplacesALinkAndNotWhatItLeadsTo) {
  const TempDir dir;
  write_file(dir / "blob", bytes_of("precious"));
  fs::create_symlink("blob", dir / "link");
  write_file(dir / "link", bytes_of("new"));
  EXPECT_FALSE(fs::is_symlink(dir / "link"));
  EXPECT_EQ(content_of(dir / "link"), "new");
  EXPECT_EQ(content_of(dir / "blob"), "precious");
}

TEST(WriteFile, FullDiskKeepsTheOldFileAndRemovesTheTemporaryOne) {
  const TempDir dir;
  write_file(dir / "f", bytes_of("old"));
  const std::string large(100'000, 'x');
  {
    const FileSizeLimit limit(50'000);  // the first write is short, the second fails
    EXPECT_EQ(error_of([&] { return write_file(dir / "f", bytes_of(large)), 0; }),
              str((dir / "f").string(), ": cannot be written: File too large"));
  }
  EXPECT_EQ(content_of(dir / "f"), "old");
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(WriteFile, NeverReplacesFoldersOrDevices) {
  const TempDir dir;
  const auto error = [](const fs::path& path) {
    return error_of([&] { return write_file(path, bytes_of("x")), 0; });
  };
  EXPECT_EQ(error(dir.path()), dir.path().string() + ": is a folder, expected the name of a file");
  EXPECT_EQ(error(dir / "new/"),
            (dir / "new/").string() + ": names a folder, expected the name of a file");
  EXPECT_EQ(error("/dev/null"), "/dev/null: is no regular file; choose another name to write to");
  EXPECT_EQ(error("/dev/full"), "/dev/full: is no regular file; choose another name to write to");
  EXPECT_THAT(error(dir / "no/f"),
              HasSubstr("cannot be written: No such file or directory (folder "));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(NewFile, LeavesNothingUnlessCommitted) {
  const TempDir dir;
  {
    NewFile file(dir / "f");
    file.write(bytes_of("abc"));
    EXPECT_FALSE(fs::exists(dir / "f"));
  }
  EXPECT_EQ(entries_in(dir.path()), 0u);

  NewFile file(dir / "f");
  file.write(bytes_of("abc"));
  file.write(bytes_of("def"));
  file.commit();
  EXPECT_EQ(content_of(dir / "f"), "abcdef");
}

TEST(NewFile, LeavesNothingWhenTheTargetBecomesAFolder) {
  const TempDir dir;
  {
    NewFile file(dir / "f");
    fs::create_directory(dir / "f");
    EXPECT_THAT(error_of([&] { return file.commit(), 0; }), HasSubstr("is a folder"));
  }
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(NewFolder, AppearsWithItsFilesOrNotAtAll) {
  const TempDir dir;
  {
    const NewFolder folder(dir / "a/b/c");
    std::ofstream(folder.folder() / "file") << "x";
  }
  EXPECT_TRUE(fs::is_empty(dir.path()));
  NewFolder folder(dir / "a/b/c/");
  std::ofstream(folder.folder() / "file") << "x";
  EXPECT_FALSE(fs::exists(dir / "a/b/c"));
  folder.commit();
  EXPECT_TRUE(fs::is_regular_file(dir / "a/b/c/file"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "a/b"), {}), 1);
}

TEST(NewFolder, TakesThePlaceOfAnEmptyFolderAndOfNothingElse) {
  const TempDir dir;
  fs::create_directory(dir / "empty");
  NewFolder folder(dir / "empty");
  std::ofstream(folder.folder() / "file") << "x";
  NewFolder late(dir / "empty");
  folder.commit();
  const auto says_exists = HasSubstr("exists; expected a new or an empty folder");
  EXPECT_THAT(error_of([&] { late.commit(); }), says_exists);
  EXPECT_THAT(error_of([&] { NewFolder again(dir / "empty"); }), says_exists);
  EXPECT_THAT(error_of([&] { NewFolder other(dir / "empty/file"); }), says_exists);
  EXPECT_EQ(read_file(dir / "empty/file", 10).size(), 1u);
}

TEST(WriteFile, TwoThreadsWriteOneOfTheTwoContents) {
  const TempDir dir;
  const std::string a(50'000, 'a'), b(50'000, 'b');
  const auto write = [&](const std::string& text) {
    for (int i = 0; i < 20; ++i) write_file(dir / "f", bytes_of(text));
  };
  std::thread other(write, std::cref(a));
  write(b);
  other.join();
  const std::string content = content_of(dir / "f");
  EXPECT_TRUE(content == a || content == b);
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(CheckWritable, MakesTheParentsAndNoFile) {
  const TempDir dir;
  check_writable(dir / "a/b/../c/f.png", 1000);
  EXPECT_TRUE(fs::is_directory(dir / "a/c"));
  EXPECT_EQ(entries_in(dir / "a/c"), 0u);
  check_writable(dir / "a/c/f.png", 1000);
  check_writable("zimage-no-such-file.png", 1);
  EXPECT_FALSE(fs::exists("zimage-no-such-file.png"));
}

TEST(CheckWritable, KeepsAnExistingFile) {
  const TempDir dir;
  write_file(dir / "f", bytes_of("old"));
  check_writable(dir / "f", 1 << 20);
  EXPECT_EQ(content_of(dir / "f"), "old");
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(CheckWritable, RefusesWhatCannotHoldTheFileAndRemovesItsFolders) {
  const TempDir dir;
  write_file(dir / "file", bytes_of("x"));
  const auto error = [](const fs::path& path, std::uint64_t bytes) {
    return error_of([&] { return check_writable(path, bytes), 0; });
  };
  EXPECT_THAT(error(dir.path(), 1), EndsWith("is a folder, expected the name of a file"));
  EXPECT_THAT(error(dir / "file/f", 1), HasSubstr("Not a directory"));
  EXPECT_THAT(error(dir / "file/a/f", 1), HasSubstr("Not a directory"));
  EXPECT_THAT(error("/proc/zimage/f", 1), HasSubstr("the folder cannot be created"));
  EXPECT_THAT(error(dir / "a/b/f", std::uint64_t{1} << 62),
              testing::AllOf(HasSubstr("needs 4611686018427387904 bytes, but its disk has only"),
                             EndsWith("make room or write elsewhere")));
  EXPECT_THAT(error(dir / str("a/b/", std::string(300, 'x'), "/f"), 1),
              HasSubstr("File name too long"));
  EXPECT_EQ(entries_in(dir.path()), 1u);
}

TEST(CheckWritable, SaysWhenRightsAreMissing) {
  const TempDir dir;
  fs::permissions(dir.path(), fs::perms(0555));
  {
    const WithoutRoot nobody;
    EXPECT_THAT(error_of([&] { return check_writable(dir / "f", 1), 0; }),
                HasSubstr("cannot be written: Permission denied"));
    EXPECT_THAT(error_of([&] { return check_writable(dir / "a/f", 1), 0; }),
                HasSubstr("the folder cannot be created: Permission denied"));
    EXPECT_THAT(error_of([] { return read_file("/etc/shadow", 100), 0; }),
                testing::AnyOf(HasSubstr("Permission denied"), HasSubstr("No such file")));
  }
  fs::permissions(dir.path(), fs::perms(0700));
}

}  // namespace
}  // namespace zimage
