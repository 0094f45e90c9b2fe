#include "core/random.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>

#include "core/philox.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "testing.h"

namespace zimage {
namespace {

std::uint64_t unsigned_of(const Json& json, const char* key) {
  return std::stoull(json.get<std::string>(key));
}

std::vector<std::uint32_t> bits_of(const Tensor& t) {
  std::vector<std::uint32_t> bits;
  for (const float value : values_of(t)) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

TEST(TorchCpuGenerator, EqualsTorchBitForBitOverFollowingCalls) {
  const Json cases = Json::parse_file(test_data("random/cases.json"));
  const auto golden = SafetensorsFile::open(test_data("random/streams.safetensors"));
  for (const Json& stream : cases.objects("streams")) {
    const auto name = stream.get<std::string>("name");
    SCOPED_TRACE(name);
    TorchCpuGenerator generator(unsigned_of(stream, "seed"));
    std::vector<std::uint32_t> actual;
    for (const int count : stream.get<std::vector<int>>("calls")) {
      const auto bits = bits_of(generator.randn({count}));
      actual.insert(actual.end(), bits.begin(), bits.end());
    }
    EXPECT_EQ(actual, bits_of(golden.tensors().at(name)));
  }
}

TEST(TorchCpuGenerator, EqualsTorchBitForBitInMillionsOfValues) {
  const Json cases = Json::parse_file(test_data("random/cases.json"));
  for (const Json& large : cases.objects("large")) {
    TorchCpuGenerator generator(unsigned_of(large, "seed"));
    std::uint64_t sum = 0, weight = 1;
    for (const std::uint32_t bits : bits_of(generator.randn({large.get<int>("count")}))) {
      sum += bits * weight;
      weight += 2;
    }
    EXPECT_EQ(sum, unsigned_of(large, "checksum")) << "seed " << unsigned_of(large, "seed");
  }
}

TEST(TorchCpuGenerator, UsesTheLow32BitsOfTheSeed) {
  EXPECT_EQ(bits_of(TorchCpuGenerator(7).randn({40})),
            bits_of(TorchCpuGenerator((std::uint64_t{1} << 63) + 7).randn({40})));
}

TEST(TorchCpuGenerator, IsTheStandardsMt19937) {
  TorchCpuGenerator generator(5489);
  std::mt19937 standard(5489);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(generator.random(), standard());
  const std::uint64_t high = standard();
  EXPECT_EQ(generator.random64(), high << 32 | standard());
}

TEST(TorchCpuGenerator, GivesTheSameValuesInAnyShapeAndNoneForNoElements) {
  TorchCpuGenerator flat(3), shaped(3);
  EXPECT_EQ(shaped.randn({0, 4}).numel(), 0);
  EXPECT_EQ(bits_of(flat.randn({120})), bits_of(shaped.randn({2, 3, 4, 5})));
}

// Known answers published with Random123.
TEST(Philox, AnswersAsRandom123) {
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// What a GPU prints for torch.manual_seed(0); torch.randn(8, 8, device="cuda"), as published with
// four decimals in a public lecture on CUDA kernels.
TEST(TorchCudaRandn, EqualsWhatAGpuPrinted) {
  const std::vector<float> printed{
      -0.9247f, -0.4253f, -2.6438f, 0.1452f,  -0.1209f, -0.5797f, -0.6229f, -0.3284f,  //
      -1.0745f, -0.3631f, -1.6711f, 2.2655f,  0.3117f,  -0.1842f, 1.2866f,  1.1820f,   //
      -0.1271f, 1.2169f,  1.4353f,  1.0605f,  -0.4941f, -1.4244f, -0.7244f, -1.2973f,  //
      0.0697f,  -0.0074f, 1.8969f,  0.6878f,  -0.0779f, -0.8373f, 1.3506f,  -0.2879f,  //
      -0.5965f, -0.3283f, -0.9086f, -0.8059f, -0.7407f, -0.0504f, 0.5435f,  1.5150f,   //
      0.0141f,  0.4532f,  1.6349f,  0.7124f,  -0.1806f, 1.0252f,  -1.4622f, -0.7554f,  //
      -0.1836f, 0.3824f,  0.3918f,  -0.0830f, 0.8971f,  -1.1123f, 0.1116f,  0.4863f,   //
      -0.5499f, -0.3231f, -0.5469f, 0.9049f,  0.2837f,  0.1210f,  0.4730f,  -1.0823f};
  // Half a unit of the fourth decimal, and the GPU's fast sine.
  EXPECT_TRUE(
      all_close(TorchCudaGenerator(0).randn({8, 8}), tensor_of({8, 8}, printed), 0, 5.5e-5));
}

// One multiprocessor of 8 blocks of 256 threads: element e comes from lane e / 2048 % 4 of draw
// e / 8192 of thread e % 2048.
TEST(TorchCudaRandn, WalksTheGridInFours) {
  constexpr std::uint64_t kSeed = 0xdeadbeef00c0ffee;
  for (const int n : {1, 255, 2048, 2049, 4097, 8191, 8193, 3 * 8192 + 5000}) {
    SCOPED_TRACE(n);
    const auto values = values_of(TorchCudaGenerator(kSeed, 1).randn({n}));
    const std::uint32_t threads = std::min((n + 255) / 256, 8) * 256;
    for (std::uint32_t e = 0; e < values.size(); ++e) {
      const auto bits =
          philox4x32({e / (4 * threads), 0, e % threads, 0}, {0x00c0ffee, 0xdeadbeef});
      const unsigned lane = e / threads % 4;
      const double u = (bits[lane / 2 * 2] + 0.5) * 0x1p-32;
      const double angle = (bits[lane / 2 * 2 + 1] + 0.5) * 0x1p-31 * std::numbers::pi;
      const double radius = std::sqrt(-2 * std::log(u));
      // u and the angle are rounded to f32 first; near u = 1 that moves the radius by up to 2.5e-4.
      ASSERT_NEAR(values[e], radius * (lane % 2 == 0 ? std::sin(angle) : std::cos(angle)),
                  4e-6 + 6e-8 / (radius + 2.5e-4));
    }
  }
}

// Every thread counts on, also those that had no element of the first tensor.
TEST(TorchCudaRandn, ContinuesBehindTheDrawsOfTheTensorBefore) {
  TorchCudaGenerator generator(5, 1);
  (void)generator.randn({8193});  // two draws of each of 2048 threads
  const float first = values_of(generator.randn({3}))[0];
  const auto third = values_of(TorchCudaGenerator(5, 1).randn({3 * 8192}))[2 * 8192];
  EXPECT_EQ(first, third);
}

TEST(TorchCudaRandn, DependsOnTheDeviceOnlyBeyondOneElementPerThread) {
  EXPECT_EQ(bits_of(TorchCudaGenerator(9, 1).randn({2048})),
            bits_of(TorchCudaGenerator(9, 132).randn({2048})));
  EXPECT_NE(bits_of(TorchCudaGenerator(9, 1).randn({2049})),
            bits_of(TorchCudaGenerator(9, 132).randn({2049})));
  EXPECT_EQ(TorchCudaGenerator(9).randn({0}).numel(), 0);
  EXPECT_EQ(error_of([] { return TorchCudaGenerator(9, 0).randn({4}); }),
            "TorchCudaGenerator: 0 multiprocessors");
}

}  // namespace
}  // namespace zimage
