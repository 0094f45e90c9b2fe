#include "io/disk_reading.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "io/file.h"
#include "testing.h"

namespace zimage {
namespace {

class DiskReading : public testing::Test {
 protected:
  std::filesystem::path file_of(std::size_t bytes) const {
    const auto path = dir_ / "file";
    write_file(path, std::vector<std::byte>(bytes, std::byte{7}));
    return path;
  }
  TempDir dir_;
};

TEST_F(DiskReading, CountsWhatTheCacheHolds) {
  const auto path = file_of(3'000'001);
  (void)read_file(path, 1 << 22);
  EXPECT_EQ(uncached_bytes(path), 0u);
  const int fd = open(path.c_str(), O_RDONLY);
  ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);  // asks, does not force
  close(fd);
  EXPECT_LE(uncached_bytes(path), 3'000'001u);
}

TEST_F(DiskReading, OfFewBytesTellsNothing) {
  EXPECT_EQ(measure_read_rate({file_of(100)}), 0);
  EXPECT_EQ(measure_read_rate({}), 0);
  EXPECT_EQ(uncached_bytes(file_of(0)), 0u);
}

TEST_F(DiskReading, MeasuresARate) {
  const auto path = file_of(std::size_t{20} << 20);
  EXPECT_GT(measure_read_rate({path}), 0);
  EXPECT_GT(measure_read_rate({path, path}), 0);
}

TEST_F(DiskReading, NamesAFileThatIsMissing) {
  EXPECT_THAT(error_of([&] { return uncached_bytes(dir_ / "none"); }), testing::HasSubstr("none"));
  EXPECT_THAT(error_of([&] { return measure_read_rate({dir_ / "none"}); }),
              testing::HasSubstr("none"));
}

}  // namespace
}  // namespace zimage
