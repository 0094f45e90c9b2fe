#pragma once

#include <cstdint>
#include <functional>

#include "core/tensor.h"
#include "cpu/matmul.h"

namespace zimage::cpu {

// Channels [channel, channel + n) of a row of weights as f32; called by several threads.
using DecodeRow =
    std::function<void(std::int64_t row, std::int64_t channel, std::int64_t n, float* values)>;

// y = x * weight^T + bias of f32 or bf16, whatever rows x has.
struct WeightedSum {
  // weight: [out, in] of x's dtype, with any number of axes that make up `in`; bias: [out] f32 or
  // undefined; y: [rows, out] f32 or bf16.
  WeightedSum(const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path);
  // Weights [out, in] that are decoded where they are multiplied, and rounded to x's dtype.
  WeightedSum(DecodeRow weight, std::int64_t in, Dtype dtype, const Tensor& bias, Tensor& y,
              Bf16Path path);

  // The words of n channels of x from `channel` on, which are a whole number of words.
  using LoadRow =
      std::function<void(std::int64_t row, std::int64_t channel, std::int64_t n, std::uint32_t* x)>;
  // strip_rows as in Matmul.
  void run(std::int64_t strip_rows, const LoadRow& load_row) const;

  // Copies or widens n channels of x's dtype to words.
  void to_words(const std::byte* x, std::int64_t n, std::uint32_t* words) const;

  // What Matmul asks for, for products that are not one of rows of x.
  void load_columns(Range columns, Range words, std::uint32_t* panels) const;
  void store(Range rows, Range columns, const float* sums, std::int64_t stride) const;

  std::int64_t rows, in, out;
  Dtype dtype;  // of x and the weight
  ProductKind kind;
  std::int64_t per_word;  // channels
  // The row of y that takes the sums of a row of x; empty: the same.
  std::function<std::int64_t(std::int64_t row)> row_of_y = {};

 private:
  // Of columns that lie below each other, `stride` channels apart.
  void pack(const std::byte* first, std::int64_t stride, Range columns, Range words,
            std::uint32_t* panels) const;
  // [columns, channels] of x's dtype.
  Tensor decode(Range columns, std::int64_t channel, std::int64_t channels) const;

  const std::byte* weight_ = nullptr;
  DecodeRow decode_ = {};  // in place of weight_
  const float* bias_;
  std::byte* y_;
  Dtype y_dtype_;
};

}  // namespace zimage::cpu
