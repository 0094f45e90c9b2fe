#include "cpu/linear.h"

#include <algorithm>

#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"
#include "cpu/onednn.h"
#include "cpu/pieces.h"

namespace zimage::cpu {
namespace {

// Tiles of the bf16 product. oneDNN packs both operands of a tile anew: with this many rows and
// columns that costs little, and there are tiles enough for many threads.
constexpr std::int64_t kTileRows = 576;
constexpr std::int64_t kTileColumns = 128;
// Weights of the f32 product packed at a time: they stay in the L2 cache while x streams past.
constexpr std::int64_t kPanelColumns = 64;
constexpr std::int64_t kPanelDepth = 1024;
// Rows whose x is held as f32 at a time, which bounds memory.
constexpr std::int64_t kStripRows = 2304;
// Below, packing weights would take longer than the product.
constexpr std::int64_t kRowsWorthPacking = 32;

struct Problem {
  const std::byte *x, *weight;
  const float* bias;
  std::byte* y;
  std::int64_t rows, in, out;
  Dtype dtype, y_dtype;
};

std::byte* at(std::byte* data, std::int64_t element, Dtype dtype) {
  return data + element * static_cast<std::int64_t>(size_of(dtype));
}
const std::byte* at(const std::byte* data, std::int64_t element, Dtype dtype) {
  return data + element * static_cast<std::int64_t>(size_of(dtype));
}

Problem rows_of(const Problem& p, std::int64_t begin, std::int64_t end) {
  Problem part = p;
  part.x = at(p.x, begin * p.in, p.dtype);
  part.y = at(p.y, begin * p.out, p.y_dtype);
  part.rows = end - begin;
  return part;
}

const float* bias_at(const Problem& p, std::int64_t column) {
  return p.bias == nullptr ? nullptr : p.bias + column;
}

void multiply_in_place(const Problem& p) {
  const std::int64_t tile_rows = piece_of(p.rows, kTileRows, 16);
  const std::int64_t tiles_down = (p.rows + tile_rows - 1) / tile_rows;
  const std::int64_t tiles_across = (p.out + kTileColumns - 1) / kTileColumns;
  parallel_for(tiles_down * tiles_across, [&](std::int64_t i) {
    const std::int64_t row = i % tiles_down * tile_rows;
    const std::int64_t column = i / tiles_down * kTileColumns;
    const Problem tile = rows_of(p, row, std::min(row + tile_rows, p.rows));
    const onednn::Matmul shape{.m = tile.rows,
                               .n = std::min(kTileColumns, p.out - column),
                               .k = p.in,
                               .y_stride = p.out,
                               .dtype = p.dtype,
                               .y_dtype = p.y_dtype};
    onednn::matmul(shape, tile.x, at(p.weight, column * p.in, p.dtype), bias_at(p, column),
                   at(tile.y, column, p.y_dtype));
  });
}

// x as f32, channels [k, k + depth) of all rows after channels [0, k) of all rows.
Tensor expand_by_depth(const Problem& p, std::int64_t depth) {
  Tensor expanded = empty({p.rows, p.in});
  parallel_blocks(p.rows, rows_per_block(p.in), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = 0; k < p.in; k += depth) {
      const std::int64_t n = std::min(depth, p.in - k);
      for (std::int64_t row = begin; row < end; ++row) {
        cast_kernels().cast(at(p.x, row * p.in + k, p.dtype), p.dtype,
                            expanded.data<float>() + k * p.rows + row * n, Dtype::kF32, n);
      }
    }
  });
  return expanded;
}

// Columns [begin, end) of y from x as expand_by_depth() gives it.
void multiply_columns(const Problem& p, const float* x, std::int64_t depth, std::int64_t begin,
                      std::int64_t end) {
  const std::int64_t columns = end - begin;
  Tensor sums = empty({p.rows, columns});
  for (std::int64_t k = 0; k < p.in; k += depth) {
    const auto epilogue = k > 0               ? onednn::Epilogue::kAccumulate
                          : p.bias != nullptr ? onednn::Epilogue::kAddBias
                                              : onednn::Epilogue::kStore;
    const onednn::Product product(p.rows, columns, std::min(depth, p.in - k), Dtype::kF32,
                                  epilogue);
    const auto weight = product.pack(
        {.data = at(p.weight, begin * p.in + k, p.dtype), .dtype = p.dtype, .row_stride = p.in});
    product(x + k * p.rows, *weight, k == 0 ? bias_at(p, begin) : nullptr, sums.data<float>());
  }
  for (std::int64_t i = 0; i < p.rows; ++i) {
    cast_kernels().cast(sums.data<float>() + i * columns, Dtype::kF32,
                        at(p.y, i * p.out + begin, p.y_dtype), p.y_dtype, columns);
  }
}

void multiply_as_f32(const Problem& p) {
  const std::int64_t strip_rows = piece_of(p.rows, kStripRows, 16);
  const std::int64_t depth = piece_of(p.in, kPanelDepth, 16);
  for (std::int64_t row = 0; row < p.rows; row += strip_rows) {
    const Problem strip = rows_of(p, row, std::min(row + strip_rows, p.rows));
    const Tensor x = expand_by_depth(strip, depth);
    parallel_blocks(p.out, kPanelColumns, [&](std::int64_t begin, std::int64_t end) {
      multiply_columns(strip, x.data<float>(), depth, begin, end);
    });
  }
}

bool runs_in_place(const Problem& p, Bf16Path path) {
  if (p.dtype == Dtype::kBf16) return path == Bf16Path::kDot;
  return p.y_dtype == Dtype::kF32 && p.rows <= kRowsWorthPacking;
}

}  // namespace

void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Bf16Path path) {
  const Problem problem{.x = x.raw(),
                        .weight = weight.raw(),
                        .bias = bias.defined() ? bias.data<float>() : nullptr,
                        .y = y.raw(),
                        .rows = x.numel() / weight.dim(1),
                        .in = weight.dim(1),
                        .out = weight.dim(0),
                        .dtype = x.dtype(),
                        .y_dtype = y.dtype()};
  if (runs_in_place(problem, path)) {
    multiply_in_place(problem);
  } else {
    multiply_as_f32(problem);
  }
}

}  // namespace zimage::cpu
