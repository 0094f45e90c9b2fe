#include "cpu/weighted_sum.h"

#include <cstring>
#include <utility>

#include "cpu/kernels/cast.h"

namespace zimage::cpu {

WeightedSum::WeightedSum(const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path)
    : rows(y.numel() / weight.dim(0)),
      in(weight.numel() / weight.dim(0)),
      out(weight.dim(0)),
      dtype(weight.dtype()),
      kind(product_kind(dtype, in, path)),
      per_word(kind == ProductKind::kBf16 ? 2 : 1),
      weight_(weight.raw()),
      bias_(bias.defined() ? bias.data<float>() : nullptr),
      y_(y.raw()),
      y_dtype_(y.dtype()) {}

WeightedSum::WeightedSum(DecodeRow weight, std::int64_t in, Dtype dtype, const Tensor& bias,
                         Tensor& y, Bf16Path path)
    : rows(y.numel() / y.dim(-1)),
      in(in),
      out(y.dim(-1)),
      dtype(dtype),
      kind(product_kind(dtype, in, path)),
      per_word(kind == ProductKind::kBf16 ? 2 : 1),
      decode_(std::move(weight)),
      bias_(bias.defined() ? bias.data<float>() : nullptr),
      y_(y.raw()),
      y_dtype_(y.dtype()) {}

void WeightedSum::to_words(const std::byte* x, std::int64_t n, std::uint32_t* words) const {
  if (dtype == Dtype::kBf16 && kind == ProductKind::kF32) {
    cast_kernels().cast(x, Dtype::kBf16, words, Dtype::kF32, n);
  } else {
    std::memcpy(words, x, static_cast<std::size_t>(n) * size_of(dtype));
  }
}

void WeightedSum::load_columns(Range columns, Range words, std::uint32_t* panels) const {
  const std::int64_t channel = words.begin * per_word, channels = words.size() * per_word;
  if (decode_) {
    pack(decode(columns, channel, channels).raw(), channels, columns, words, panels);
  } else {
    const auto size = static_cast<std::int64_t>(size_of(dtype));
    pack(weight_ + (columns.begin * in + channel) * size, in, columns, words, panels);
  }
}

void WeightedSum::pack(const std::byte* first, std::int64_t stride, Range columns, Range words,
                       std::uint32_t* panels) const {
  const auto& kernels = product_kernels();
  const bool is_widened = dtype == Dtype::kBf16 && kind == ProductKind::kF32;
  (is_widened ? kernels.pack_bf16_as_f32 : kernels.pack_words)({.source = first,
                                                                .stride = stride / per_word,
                                                                .columns = columns.size(),
                                                                .words = words.size(),
                                                                .panels = panels});
}

Tensor WeightedSum::decode(Range columns, std::int64_t channel, std::int64_t channels) const {
  Tensor values = empty({columns.size(), channels}, dtype);
  Tensor row = empty({channels});
  for (std::int64_t i = 0; i < columns.size(); ++i) {
    decode_(columns.begin + i, channel, channels, row.data<float>());
    cast_kernels().cast(row.raw(), Dtype::kF32,
                        values.raw() + i * channels * static_cast<std::int64_t>(size_of(dtype)),
                        dtype, channels);
  }
  return values;
}

void WeightedSum::store(Range rows, Range columns, const float* sums, std::int64_t stride) const {
  const auto size = static_cast<std::int64_t>(size_of(y_dtype_));
  float biased[kMaxStoredColumns];
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* from = sums + (row - rows.begin) * stride;
    if (bias_ != nullptr) {
      for (std::int64_t i = 0; i < columns.size(); ++i) {
        biased[i] = from[i] + bias_[columns.begin + i];
      }
      from = biased;
    }
    const std::int64_t y_row = row_of_y ? row_of_y(row) : row;
    cast_kernels().cast(from, Dtype::kF32, y_ + (y_row * out + columns.begin) * size, y_dtype_,
                        columns.size());
  }
}

void WeightedSum::run(std::int64_t strip_rows, const LoadRow& load_row) const {
  multiply({.kind = kind,
            .rows = rows,
            .columns = out,
            .words = in / per_word,
            .strip_rows = strip_rows,
            .load_rows =
                [&](Range rows, Range words, std::uint32_t* x, std::int64_t stride) {
                  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
                    load_row(row, words.begin * per_word, words.size() * per_word,
                             x + (row - rows.begin) * stride);
                  }
                },
            .load_columns = [&](Range columns, Range words,
                                std::uint32_t* panels) { load_columns(columns, words, panels); },
            .store =
                [&](Range rows, Range columns, const void* sums, std::int64_t stride) {
                  store(rows, columns, static_cast<const float*>(sums), stride);
                }});
}

}  // namespace zimage::cpu
