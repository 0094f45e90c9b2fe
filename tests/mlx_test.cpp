// Weights in MLX's formats, compared with what MLX itself makes (tools/reference/make_mlx.py).
#include "ops/mlx.h"

#include <gmock/gmock.h>

#include <cstring>
#include <functional>
#include <limits>

#include "io/safetensors.h"
#include "isa_testing.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "testing.h"

namespace zimage {
namespace {

using ops::MlxFormat;
using testing::HasSubstr;
using Mode = MlxFormat::Mode;

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// What MLX made of golden("weight").
class Golden {
 public:
  explicit Golden(const MlxFormat& format)
      : prefix_(str(format.mode == Mode::kAffine ? "affine." : "mxfp4.", format.bits, ".",
                    format.group_size, ".")),
        is_affine_(format.mode == Mode::kAffine),
        format_(format) {}

  Tensor weight() const { return file_.tensors().at("weight"); }
  Tensor decoded() const { return file_.tensors().at(prefix_ + "decoded"); }
  ops::MlxMatrix matrix() const {
    return {file_.tensors().at(prefix_ + "weight"), file_.tensors().at(prefix_ + "scales"),
            is_affine_ ? file_.tensors().at(prefix_ + "biases") : Tensor(), format_};
  }

 private:
  SafetensorsFile file_ = SafetensorsFile::open(test_data("mlx/formats.safetensors"));
  std::string prefix_;
  bool is_affine_;
  MlxFormat format_;
};

TEST(Mlx, QuantisesBitForBitAsMlx) {
  for (const MlxFormat& format : ops::mlx_formats()) {
    const Golden golden(format);
    const ops::MlxMatrix expected = golden.matrix();
    on_every_isa([&] {
      const auto actual = ops::quantize_mlx(golden.weight(), format);
      EXPECT_TRUE(same_bytes(actual.words, expected.words)) << name_of(format);
      EXPECT_TRUE(same_bytes(actual.scales, expected.scales)) << name_of(format);
      if (expected.biases.defined()) {
        EXPECT_EQ(values_of(actual.biases), values_of(expected.biases)) << name_of(format);
      }
    });
  }
}

TEST(Mlx, DecodesBitForBitAsMlx) {
  for (const MlxFormat& format : ops::mlx_formats()) {
    const Golden golden(format);
    const auto rows = ops::mlx_rows(golden.matrix());
    on_every_isa([&] {
      EXPECT_EQ(values_of(ops::decoded(*rows, Dtype::kF32)), values_of(golden.decoded()))
          << name_of(format);
    });
  }
}

TEST(Mlx, DecodesAnyPieceOfARow) {
  for (const MlxFormat& format : ops::mlx_formats()) {
    const auto weight = random_normal({2, 9 * 128 * 64}, Dtype::kF32, 3);  // more than 64 groups
    const auto rows = ops::mlx_rows(ops::quantize_mlx(weight, format));
    const std::int64_t in = rows->shape()[1];
    const auto all = values_of(ops::decoded(*rows, Dtype::kF32));
    on_every_isa([&] {
      for (const std::int64_t channel : {0, 1, 7, 31, 33, 127, 4099}) {
        for (const std::int64_t n : {1, 2, 17, 64, 200, 70000}) {
          if (channel + n > in) continue;
          std::vector<float> piece(static_cast<std::size_t>(n));
          rows->decode(1, channel, n, piece.data());
          const auto expected = all.begin() + in + channel;
          EXPECT_TRUE(std::equal(piece.begin(), piece.end(), expected))
              << name_of(format) << ", " << channel << ", " << n;
        }
      }
    });
  }
}

TEST(Mlx, ErrorsAreBelowAStep) {
  const Tensor weight = random_normal({9, 256}, Dtype::kF32, 4, 0.03f);
  for (const MlxFormat& format : ops::mlx_formats()) {
    if (format.mode != Mode::kAffine) continue;
    const auto matrix = ops::quantize_mlx(weight, format);
    const auto before = values_of(weight), scales = values_of(matrix.scales);
    const auto after = values_of(ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32));
    for (std::size_t i = 0; i < before.size(); ++i) {
      // Half of one, and more where a scale was moved so that zero is met.
      const float step = std::abs(scales[i / static_cast<std::size_t>(format.group_size)]);
      EXPECT_LT(std::abs(before[i] - after[i]), step) << name_of(format) << ", " << i;
    }
  }
}

TEST(Mlx, ErrorsFallWithBitsAndSmallerGroups) {
  const Tensor weight = random_normal({64, 512}, Dtype::kF32, 5);
  const auto error = [&](const MlxFormat& format) {
    const auto matrix = ops::quantize_mlx(weight, format);
    return relative_error(ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32), weight);
  };
  EXPECT_LT(error({Mode::kAffine, 8, 32}), 0.006);
  EXPECT_LT(error({Mode::kAffine, 8, 32}), error({Mode::kAffine, 8, 128}));
  EXPECT_LT(error({Mode::kAffine, 4, 32}), 0.1);
  EXPECT_LT(error({Mode::kAffine, 4, 32}), error({Mode::kAffine, 4, 128}));
  EXPECT_LT(error({Mode::kMxfp4, 4, 32}), 0.15);
}

TEST(Mlx, ScalesOfSixteenBitsAreTakenAtTheirValue) {
  auto matrix = ops::quantize_mlx(random_normal({6, 128}, Dtype::kF32, 6), {Mode::kAffine, 4, 64});
  auto wide = matrix;
  matrix.scales = ops::cast(matrix.scales, Dtype::kBf16);
  matrix.biases = ops::cast(matrix.biases, Dtype::kBf16);
  wide.scales = ops::cast(matrix.scales, Dtype::kF32);
  wide.biases = ops::cast(matrix.biases, Dtype::kF32);
  EXPECT_EQ(values_of(ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32)),
            values_of(ops::decoded(*ops::mlx_rows(wide), Dtype::kF32)));

  // 1.5 and -0.25 in f16
  for (Tensor* tensor : {&matrix.scales, &matrix.biases}) {
    const std::uint16_t bits = tensor == &matrix.scales ? 0x3e00 : 0xb400;
    *tensor = empty(matrix.scales.shape(), Dtype::kF16);
    for (std::int64_t i = 0; i < tensor->numel(); ++i) {
      std::memcpy(tensor->raw() + 2 * i, &bits, sizeof(bits));
    }
  }
  const auto values = values_of(ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32));
  const std::uint32_t word = *reinterpret_cast<const std::uint32_t*>(matrix.words.raw());
  for (int k = 0; k < 8; ++k) {
    EXPECT_EQ(values[static_cast<std::size_t>(k)],
              1.5f * static_cast<float>(word >> (4 * k) & 15) - 0.25f);
  }
}

TEST(Mlx, MultipliesAsTheDecodedWeights) {
  for (const MlxFormat& format : ops::mlx_formats()) {
    const auto rows =
        ops::mlx_rows(ops::quantize_mlx(random_normal({70, 2688}, Dtype::kF32, 7), format));
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      const Tensor x = random_normal({5, 2688}, dtype, 8);
      const auto expected = values_of(ops::linear(x, ops::decoded(*rows, dtype), {}, dtype));
      EXPECT_EQ(values_of(ops::linear(x, *rows, {}, dtype)), expected) << name_of(format);
    }
  }
}

TEST(Mlx, MarksGroupsThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    Tensor weight = zeros({1, 128});
    weight.data<float>()[70] = bad;
    const auto affine = values_of(ops::quantize_mlx(weight, {Mode::kAffine, 8, 64}).scales);
    EXPECT_FALSE(std::isnan(affine[0]));
    EXPECT_TRUE(std::isnan(affine[1]));
    const auto fp4 = ops::quantize_mlx(weight, {Mode::kMxfp4, 4, 32}).scales;
    EXPECT_EQ(fp4.data<std::uint8_t>()[0], 127);
    EXPECT_EQ(fp4.data<std::uint8_t>()[2], 255);
  }
}

TEST(Mlx, FourBitFloatsReachBothEndsOfF32) {
  Tensor weight = zeros({1, 64});
  weight.data<float>()[0] = 2.5e38f;
  weight.data<float>()[32] = 1e-38f;
  const auto matrix = ops::quantize_mlx(weight, {Mode::kMxfp4, 4, 32});
  const auto values = values_of(ops::decoded(*ops::mlx_rows(matrix), Dtype::kF32));
  EXPECT_NEAR(values[0] / 2.5e38f, 1, 0.2);
  EXPECT_NEAR(values[32] / 1e-38f, 1, 0.2);
}

TEST(Mlx, RejectsWhatDoesNotFit) {
  const MlxFormat format{Mode::kAffine, 8, 64};
  const auto good = ops::quantize_mlx(zeros({2, 128}), format);
  const auto error = [](const ops::MlxMatrix& matrix) {
    return error_of([&] { return ops::mlx_rows(matrix); });
  };
  auto bad = good;
  bad.format.group_size = 32;
  EXPECT_EQ(error(bad),
            "weights of [2, 32] U32 with scales [2, 2] F32 and biases [2, 2] F32, expected MLX "
            "affine, 8 bits, groups of 32");
  const auto is_refused = [&](const std::function<void(ops::MlxMatrix&)>& change) {
    bad = good;
    change(bad);
    EXPECT_THAT(error(bad), HasSubstr("expected "));
  };
  is_refused([](auto& m) { m.biases = zeros({2, 1}); });
  is_refused([](auto& m) { m.biases = {}; });
  is_refused([](auto& m) { m.biases = zeros({2, 2}, Dtype::kBf16); });
  is_refused([](auto& m) { m.scales = empty({2, 2}, Dtype::kU8); });
  is_refused([](auto& m) { m.words = zeros({2, 32}); });
  is_refused([](auto& m) {
    m.words = empty({2, 8}, Dtype::kU32), m.scales = m.biases = empty({2, 0});
  });
  is_refused([](auto& m) { m.format.bits = 6; });
  is_refused([](auto& m) { m.format.mode = Mode::kMxfp4; });
  EXPECT_THAT(error_of([&] {
                return ops::quantize_mlx(zeros({2, 96}), format).words;
              }),
              HasSubstr("expected [out, in] F32 with in a multiple of 64"));
}

}  // namespace
}  // namespace zimage
