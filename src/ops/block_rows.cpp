#include "ops/block_rows.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/check.h"
#include "cpu/kernels/blocks.h"

namespace zimage::ops {
namespace {

constexpr std::array<BlockFormat, 11> kFormats{{{"Q8_0", 32, 34},
                                                {"Q4_0", 32, 18},
                                                {"Q4_1", 32, 20},
                                                {"Q5_0", 32, 22},
                                                {"Q5_1", 32, 24},
                                                {"IQ4_NL", 32, 18},
                                                {"Q2_K", 256, 84},
                                                {"Q3_K", 256, 110},
                                                {"Q4_K", 256, 144},
                                                {"Q5_K", 256, 176},
                                                {"Q6_K", 256, 210}}};
constexpr std::int64_t kLargestBlock = 256;

// Of kFormats[i], for the instruction set of the moment.
cpu::DecodeBlocks kernel_of(std::size_t i) {
  const auto& k32 = cpu::block32_kernels();
  const auto& k256 = cpu::block256_kernels();
  const std::array<cpu::DecodeBlocks, kFormats.size()> kernels{
      k32.q8_0,  k32.q4_0,  k32.q4_1,  k32.q5_0,  k32.q5_1, k32.iq4_nl,
      k256.q2_k, k256.q3_k, k256.q4_k, k256.q5_k, k256.q6_k};
  return kernels.at(i);
}

class BlockRows : public WeightRows {
 public:
  BlockRows(Tensor data, const Shape& shape, const BlockFormat& format)
      : data_(std::move(data)), shape_(shape), format_(format) {}

  const Shape& shape() const override { return shape_; }
  std::vector<Tensor> tensors() const override { return {data_}; }

  void decode(std::int64_t row, std::int64_t channel, std::int64_t n,
              float* values) const override {
    const auto decode = kernel_of(static_cast<std::size_t>(&format_ - kFormats.data()));
    const std::int64_t size = format_.size, end = channel + n;
    const auto* const blocks = reinterpret_cast<const std::uint8_t*>(data_.raw()) +
                               row * (shape_[1] / size) * format_.bytes;
    while (channel < end) {
      const std::int64_t block = channel / size, skipped = channel % size;
      const std::int64_t whole = (end - channel) / size;
      std::int64_t taken = whole * size;
      if (skipped == 0 && whole > 0) {
        decode(blocks + block * format_.bytes, whole, values);
      } else {  // the end of one, or the beginning
        float part[kLargestBlock];
        decode(blocks + block * format_.bytes, 1, part);
        taken = std::min(size - skipped, end - channel);
        std::memcpy(values, part + skipped, static_cast<std::size_t>(taken) * sizeof(float));
      }
      channel += taken;
      values += taken;
    }
  }

 private:
  Tensor data_;
  Shape shape_;
  const BlockFormat& format_;  // one of kFormats
};

}  // namespace

std::span<const BlockFormat> block_formats() { return kFormats; }

const BlockFormat* find_block_format(std::string_view name) {
  const auto* const it = std::find_if(kFormats.begin(), kFormats.end(),
                                      [&](const BlockFormat& f) { return f.name == name; });
  return it == kFormats.end() ? nullptr : it;
}

std::shared_ptr<const WeightRows> block_rows(const Tensor& data, const Shape& shape,
                                             const BlockFormat& format) {
  const BlockFormat* const known = find_block_format(format.name);
  check(known != nullptr, "block_rows: no format ", format.name);
  check(shape.rank() == 2 && shape[1] % known->size == 0, "block_rows: weights ", shape,
        ", expected [out, in] with a multiple of ", known->size, " channels");
  const Shape expected{shape[0], shape[1] / known->size * known->bytes};
  check(data.dtype() == Dtype::kU8 && data.shape() == expected, "block_rows: data of ", format.name,
        " weights ", shape, " is ", data.dtype(), " ", data.shape(), ", expected U8 ", expected);
  return std::make_shared<const BlockRows>(data, shape, *known);
}

}  // namespace zimage::ops
