#include "cpu/int8.h"

#include <cstring>

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/isa.h"
#include "cpu/kernels/cast.h"
#include "cpu/kernels/int8.h"
#include "cpu/matmul.h"

namespace zimage::cpu {
namespace {

// VNNI multiplies unsigned by signed bytes: panels hold value + 128.
constexpr std::int32_t kPanelOffset = 128;

std::int64_t bytes_of(std::int64_t n, Dtype dtype) {
  return n * static_cast<std::int64_t>(size_of(dtype));
}

std::int8_t* bytes(Tensor& x) { return reinterpret_cast<std::int8_t*>(x.raw()); }
const std::int8_t* bytes(const Tensor& x) { return reinterpret_cast<const std::int8_t*>(x.raw()); }

// x: [rows, channels]; sums may be null.
void quantize(const Tensor& x, std::int64_t channels, int rotation, std::int8_t* values,
              float* scales, std::int32_t* sums) {
  const std::int64_t rows = x.numel() / channels;
  parallel_blocks(rows, rows_per_block(channels), [&](std::int64_t begin, std::int64_t end) {
    Tensor turned = empty({channels});
    for (std::int64_t row = begin; row < end; ++row) {
      int8_kernels().quantize_row({.x = x.raw() + bytes_of(row * channels, x.dtype()),
                                   .x_dtype = x.dtype(),
                                   .channels = channels,
                                   .rotation = rotation,
                                   .turned = turned.data<float>(),
                                   .values = values + row * channels,
                                   .scale = scales + row,
                                   .sum = sums == nullptr ? nullptr : sums + row});
    }
  });
}

class Int8Linear {
 public:
  Int8Linear(const Tensor& x, const Tensor& values, const Tensor& scales, int rotation,
             const Tensor& bias, Tensor& y)
      : in_(values.dim(1)),
        out_(values.dim(0)),
        kind_(has_int8_instructions() ? ProductKind::kInt8 : ProductKind::kInt16),
        x_(empty({x.numel() / in_, in_}, Dtype::kI8)),
        x_scales_(empty({x_.dim(0)})),
        x_sums_(empty({x_.dim(0)}, Dtype::kI32)),
        weight_(bytes(values)),
        scales_(scales.data<float>()),
        bias_(bias.defined() ? bias.data<float>() : nullptr),
        y_(y) {
    quantize(x, in_, rotation, bytes(x_), x_scales_.data<float>(), x_sums_.data<std::int32_t>());
  }

  void run() {
    multiply(
        {.kind = kind_,
         .rows = x_.dim(0),
         .columns = out_,
         .words = in_ / per_word(),
         .strip_rows = kLinearStripRows,
         .load_rows = [this](Range rows, Range words, std::uint32_t* x,
                             std::int64_t stride) { load_rows(rows, words, x, stride); },
         .load_columns = [this](Range columns, Range words,
                                std::uint32_t* panels) { load_columns(columns, words, panels); },
         .store =
             [this](Range rows, Range columns, const void* sums, std::int64_t stride) {
               store(rows, columns, static_cast<const std::int32_t*>(sums), stride);
             }});
  }

 private:
  std::int64_t per_word() const { return kind_ == ProductKind::kInt8 ? 4 : 2; }

  void load_rows(Range rows, Range words, std::uint32_t* x, std::int64_t stride) const {
    for (std::int64_t row = rows.begin; row < rows.end; ++row, x += stride) {
      const std::int8_t* const from = bytes(x_) + row * in_ + words.begin * per_word();
      const std::int64_t n = words.size() * per_word();
      if (kind_ == ProductKind::kInt8) {
        std::memcpy(x, from, static_cast<std::size_t>(n));
      } else {
        int8_kernels().widen(from, n, reinterpret_cast<std::int16_t*>(x));
      }
    }
  }

  void load_columns(Range columns, Range words, std::uint32_t* panels) const {
    const auto& kernels = product_kernels();
    const bool is_int8 = kind_ == ProductKind::kInt8;
    (is_int8 ? kernels.pack_int8_as_uint8 : kernels.pack_int8_as_int16)(
        {.source = weight_ + columns.begin * in_ + words.begin * per_word(),
         .stride = is_int8 ? in_ / 4 : in_,
         .columns = columns.size(),
         .words = words.size(),
         .panels = panels});
  }

  void store(Range rows, Range columns, const std::int32_t* sums, std::int64_t stride) {
    float y[kMaxStoredColumns];
    for (std::int64_t row = rows.begin; row < rows.end; ++row, sums += stride) {
      const std::int32_t x_sum = x_sums_.data<std::int32_t>()[row];
      int8_kernels().finish({.sums = sums,
                             .columns = columns.size(),
                             .offset = kind_ == ProductKind::kInt8 ? kPanelOffset * x_sum : 0,
                             .row_scale = x_scales_.data<float>()[row],
                             .scales = scales_ + columns.begin,
                             .bias = bias_ == nullptr ? nullptr : bias_ + columns.begin,
                             .y = y});
      cast_kernels().cast(y, Dtype::kF32,
                          y_.raw() + bytes_of(row * out_ + columns.begin, y_.dtype()), y_.dtype(),
                          columns.size());
    }
  }

  std::int64_t in_, out_;
  ProductKind kind_;
  Tensor x_, x_scales_, x_sums_;  // quantised
  const std::int8_t* weight_;
  const float *scales_, *bias_;
  Tensor& y_;
};

}  // namespace

void quantize_int8(const Tensor& weight, int rotation, Tensor& values, Tensor& scales) {
  quantize(weight, weight.dim(1), rotation, bytes(values), scales.data<float>(), nullptr);
}

void dequantize_int8(const Tensor& values, const Tensor& scales, int rotation, Tensor& y) {
  const std::int64_t in = values.dim(1);
  parallel_blocks(values.dim(0), rows_per_block(in), [&](std::int64_t begin, std::int64_t end) {
    Tensor row = empty({in});
    for (std::int64_t i = begin; i < end; ++i) {
      const float scale = scales.data<float>()[i];
      float* const to = row.data<float>();
      for (std::int64_t k = 0; k < in; ++k) to[k] = scale * bytes(values)[i * in + k];
      int8_kernels().rotate(to, in, rotation);
      cast_kernels().cast(to, Dtype::kF32, y.raw() + bytes_of(i * in, y.dtype()), y.dtype(), in);
    }
  });
}

void linear_int8(const Tensor& x, const Tensor& values, const Tensor& scales, int rotation,
                 const Tensor& bias, Tensor& y) {
  Int8Linear(x, values, scales, rotation, bias, y).run();
}

}  // namespace zimage::cpu
