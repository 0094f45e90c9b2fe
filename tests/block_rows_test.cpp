#include "ops/block_rows.h"

#include <cstring>

#include "io/gguf.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "isa_testing.h"
#include "ops/linear.h"
#include "testing.h"

namespace zimage {
namespace {

using ops::BlockFormat;

struct Reference {
  std::shared_ptr<const MappedFile> file = MappedFile::open(test_data("gguf/reference.gguf"));
  GgufHeader header = parse_gguf_header(file->bytes(), "reference.gguf");
  std::map<std::string, Tensor> values =
      SafetensorsFile::open(test_data("gguf/reference.safetensors")).tensors();

  std::shared_ptr<const ops::WeightRows> rows(const BlockFormat& format) const {
    for (const auto& entry : header.tensors) {
      if (entry.name != format.name) continue;
      const std::int64_t rows = entry.shape[0];
      const auto bytes = static_cast<std::int64_t>(entry.end - entry.begin);
      Tensor data = empty({rows, bytes / rows}, Dtype::kU8);
      std::memcpy(data.raw(), file->bytes().data() + header.data_begin + entry.begin, data.bytes());
      return ops::block_rows(data, entry.shape, format);
    }
    return nullptr;
  }
};

TEST(BlockRows, HaveTheSizesThatFilesHave) {
  for (const BlockFormat& format : ops::block_formats()) {
    bool is_known = false;
    for (std::uint32_t id = 0; id < 64; ++id) {
      const GgufType* type = gguf_type(id);
      if (type == nullptr || type->name != format.name) continue;
      is_known = true;
      EXPECT_EQ(type->block_size, format.size) << format.name;
      EXPECT_EQ(type->block_bytes, format.bytes) << format.name;
    }
    EXPECT_TRUE(is_known) << format.name;
  }
  EXPECT_EQ(ops::find_block_format("IQ2_XXS"), nullptr);
}

// Zero, largest, smallest and negative scales are among them.
TEST(BlockRows, AreDecodedAsTheReferencePackageDoes) {
  const Reference reference;
  for (const BlockFormat& format : ops::block_formats()) {
    SCOPED_TRACE(format.name);
    const auto rows = reference.rows(format);
    ASSERT_NE(rows, nullptr);
    on_every_isa([&] {
      EXPECT_TRUE(same_bits(ops::decoded(*rows, Dtype::kF32),
                            reference.values.at(std::string(format.name))));
    });
  }
}

TEST(BlockRows, AreDecodedFromAnyChannelOn) {
  const Reference reference;
  for (const BlockFormat& format : ops::block_formats()) {
    const auto rows = reference.rows(format);
    const Tensor whole = ops::decoded(*rows, Dtype::kF32);
    const std::int64_t in = rows->shape()[1];
    for (const std::int64_t channel : {std::int64_t{0}, std::int64_t{1}, format.size - 1,
                                       format.size, format.size + 7, in - 1}) {
      for (const std::int64_t n : {std::int64_t{1}, std::int64_t{5}, format.size, in - channel}) {
        if (channel + n > in) continue;
        std::vector<float> values(static_cast<std::size_t>(n) + 1, 7);
        rows->decode(2, channel, n, values.data());
        EXPECT_EQ(std::memcmp(values.data(), whole.data<float>() + 2 * in + channel,
                              static_cast<std::size_t>(n) * sizeof(float)),
                  0)
            << format.name << " from " << channel << ", " << n;
        EXPECT_EQ(values.back(), 7) << format.name;
      }
    }
  }
}

TEST(BlockRows, MultiplyAsTheirValuesDo) {
  const Reference reference;
  for (const BlockFormat& format : ops::block_formats()) {
    const auto rows = reference.rows(format);
    for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
      const Tensor x = random_normal({5, rows->shape()[1]}, dtype, 1);
      const Tensor dense = ops::decoded(*rows, dtype);
      on_every_isa([&] {
        EXPECT_TRUE(same_bits(ops::linear(x, *rows, {}, Dtype::kF32),
                              ops::linear(x, dense, {}, Dtype::kF32)))
            << format.name << ", " << dtype;
      });
    }
  }
}

TEST(BlockRows, RejectWhatDoesNotFit) {
  const BlockFormat& q8 = *ops::find_block_format("Q8_0");
  const auto error = [&](const Tensor& data, const Shape& shape) {
    return error_of([&] { return ops::block_rows(data, shape, q8); });
  };
  EXPECT_EQ(error(zeros({2, 34}, Dtype::kU8), {2, 33}),
            "block_rows: weights [2, 33], expected [out, in] with a multiple of 32 channels");
  EXPECT_EQ(error(zeros({2, 33}, Dtype::kU8), {2, 32}),
            "block_rows: data of Q8_0 weights [2, 32] is U8 [2, 33], expected U8 [2, 34]");
}

}  // namespace
}  // namespace zimage
