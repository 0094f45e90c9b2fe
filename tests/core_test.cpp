#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/allocator.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "testing.h"

namespace zimage {
namespace {

TEST(Bf16, RoundsToNearestTiesToEven) {
  EXPECT_EQ(static_cast<float>(bf16(1.0f)), 1.0f);
  EXPECT_EQ(bf16(1.0f + 0x1p-8f).bits, 0x3f80);      // tie, down to even
  EXPECT_EQ(bf16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);  // tie, up to even
  EXPECT_EQ(bf16(1.0f + 0x1p-8f + 0x1p-20f).bits, 0x3f81);
  EXPECT_EQ(bf16(std::numeric_limits<float>::max()).bits, 0x7f80);  // rounds to infinity
}

TEST(Bf16, KeepsNanWhosePayloadIsInTheLowBits) {
  const float nan = std::bit_cast<float>(0x7f800001u);
  EXPECT_TRUE(std::isnan(static_cast<float>(bf16(nan))));
}

TEST(F16, ConvertsEveryClassOfValue) {
  EXPECT_EQ(f16_to_float(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_float(0xc000), -2.0f);
  EXPECT_EQ(f16_to_float(0x7bff), 65504.0f);
  EXPECT_EQ(f16_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_float(0x03ff), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::signbit(f16_to_float(0x8000)));
  EXPECT_TRUE(std::isinf(f16_to_float(0x7c00)));
  EXPECT_TRUE(std::isnan(f16_to_float(0x7e00)));
}

TEST(Dtype, NamesGoBothWays) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kBool, Dtype::kF8E5M2}) {
    EXPECT_EQ(dtype_from(name_of(dtype)), dtype);
  }
  EXPECT_EQ(dtype_from("bf16"), std::nullopt);
}

TEST(Tensor, SliceSharesTheBufferAndCloneDoesNot) {
  Tensor t = from_values({3, 2}, {0, 1, 2, 3, 4, 5});
  const Tensor middle = t.slice(1, 2);
  EXPECT_EQ(middle.shape(), (Shape{1, 2}));
  EXPECT_EQ(values_of(middle), (std::vector<float>{2, 3}));
  const Tensor copy = middle.clone();
  t.data<float>()[2] = 9;
  EXPECT_EQ(values_of(middle)[0], 9);
  EXPECT_EQ(values_of(copy)[0], 2);
}

TEST(Tensor, ConcatenatesPartsOfAnyNumberOfRows) {
  const std::vector<Tensor> parts{from_values({1, 2}, {1, 2}), zeros({0, 2}),
                                  from_values({2, 2}, {3, 4, 5, 6})};
  const Tensor all = concat(parts);
  EXPECT_EQ(all.shape(), (Shape{3, 2}));
  EXPECT_EQ(values_of(all), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(concat(std::span(parts).first(1)).raw(), parts[0].raw());
}

TEST(Tensor, RefusesWhatDoesNotFit) {
  const Tensor t = zeros({2, 3});
  EXPECT_EQ(error_of([&] { return t.reshape({7}); }),
            "reshape: [7] does not have the elements of [2, 3]");
  EXPECT_EQ(error_of([&] { return t.slice(1, 3); }), "slice: rows 1 to 3 of [2, 3]");
  EXPECT_EQ(error_of([&] {
              return concat(t, zeros({2, 2}));
            }),
            "concat: [2, 2] F32 does not fit below [2, 3] F32");
}

TEST(Allocator, HandsFreedBlocksOutAgainAlignedAndTrims) {
  allocator::trim();
  const std::byte* first = nullptr;
  {
    const Tensor t = empty({1000});
    first = t.raw();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % allocator::kAlignment, 0u);
  }
  EXPECT_EQ(empty({1000}).raw(), first);
  EXPECT_GT(allocator::cached_bytes(), 0u);
  allocator::trim();
  EXPECT_EQ(allocator::cached_bytes(), 0u);
}

TEST(Allocator, SharesMemoryBetweenSimilarSizes) {
  constexpr std::int64_t kShort = 15 << 18, kLong = 16 << 18;  // numbers; blocks of 15 and 16 MiB
  allocator::trim();
  { const Tensor a = empty({kShort}), b = empty({kShort}); }
  EXPECT_EQ(allocator::cached_bytes(), 2u * 4 * kShort);
  { const Tensor a = empty({kLong}), b = empty({kLong}); }
  EXPECT_EQ(allocator::cached_bytes(), 2u * 4 * kLong);  // in the place of the shorter ones
  { const Tensor a = empty({kShort}), b = empty({kShort}); }
  EXPECT_EQ(allocator::cached_bytes(), 2u * 4 * kLong);
  { const Tensor a = empty({kShort / 2}); }
  EXPECT_EQ(allocator::cached_bytes(), 2u * 4 * kLong + 2u * kShort);  // half is another size
  allocator::trim();
}

TEST(Allocator, SaysWhenThereIsNoMemory) {
  EXPECT_THAT(error_of([] { return empty({std::int64_t{1} << 50}); }),
              testing::StartsWith("out of memory: the system refused "));
}

TEST(ParallelFor, RunsEveryTaskOnceForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3}) {
    const ThreadCount scope(threads);
    std::vector<int> runs(100);
    parallel_for(100, [&](std::int64_t i) { ++runs[i]; });
    EXPECT_EQ(runs, std::vector<int>(100, 1));
  }
}

TEST(ParallelFor, RethrowsWhatATaskThrew) {
  const ThreadCount scope(2);
  EXPECT_EQ(error_of([] {
              parallel_for(8, [](std::int64_t i) { check(i != 5, "task ", i); });
              return 0;
            }),
            "task 5");
}

TEST(ParallelBlocks, CoversTheTail) {
  std::vector<int> hits(10);
  parallel_blocks(10, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++hits[i];
  });
  EXPECT_EQ(hits, std::vector<int>(10, 1));
}

TEST(Log, GoesThroughTheSinkOfTheCaller) {
  std::vector<std::string> lines;
  set_log_sink([&](LogLevel level, std::string_view message) {
    lines.push_back(str(level == LogLevel::kWarning ? "W " : "I ", message));
  });
  log_info("a ", 1);
  log_warning("b ", 2);
  set_log_sink({});
  EXPECT_EQ(lines, (std::vector<std::string>{"I a 1", "W b 2"}));
}

}  // namespace
}  // namespace zimage
