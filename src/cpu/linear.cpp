#include "cpu/linear.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/blocks.h"
#include "cpu/kernels/cast.h"
#include "cpu/onednn.h"

namespace zimage::cpu {
namespace {

// Tiles of y. oneDNN packs both operands of a tile anew: with this many rows and columns that costs
// little, and there are tiles enough for many threads.
constexpr std::int64_t kTileRows = 576;
constexpr std::int64_t kTileColumns = 128;
// Rows whose x is held as f32 at a time, which bounds memory.
constexpr std::int64_t kStripRows = 4 * kTileRows;

// The length of the pieces, multiples of 16 and nearly equal, that n is cut into.
std::int64_t piece_of(std::int64_t n, std::int64_t longest) {
  const std::int64_t pieces = (n + longest - 1) / longest;
  return (n + pieces * 16 - 1) / (pieces * 16) * 16;
}

struct Problem {
  const std::byte *x, *weight;
  const float* bias;
  std::byte* y;
  std::int64_t rows, in, out;
  Dtype dtype, y_dtype;
};

void multiply(const Problem& p, std::int64_t columns, const void* x, const void* weight,
              const float* bias, void* y, std::int64_t y_stride) {
  const onednn::Matmul shape{.m = p.rows,
                             .n = columns,
                             .k = p.in,
                             .a_stride = p.in,
                             .b_stride = p.in,
                             .c_stride = y_stride,
                             .b_is_transposed = true,
                             .in = p.dtype,
                             .out = p.y_dtype};
  onednn::matmul(shape, x, weight, bias, y);
}

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

// Columns [begin, end) of y, for all of its rows in tiles; `weight` holds the rows of that range.
void column_tile(const Problem& p, const std::byte* weight, std::int64_t begin, std::int64_t end) {
  // oneDNN has no f32 product that is rounded to bf16.
  const bool via_f32 = p.dtype == Dtype::kF32 && p.y_dtype == Dtype::kBf16;
  const float* bias = p.bias == nullptr ? nullptr : p.bias + begin;
  const std::int64_t columns = end - begin;
  const std::int64_t tile_rows = piece_of(p.rows, kTileRows);
  std::shared_ptr<std::byte> sums;
  if (via_f32) sums = allocator::allocate(tile_rows * columns * sizeof(float));

  for (std::int64_t row = 0; row < p.rows; row += tile_rows) {
    Problem tile = rows_of(p, row, std::min(row + tile_rows, p.rows));
    std::byte* y = at(tile.y, begin, p.y_dtype);
    if (!via_f32) {
      multiply(tile, columns, tile.x, weight, bias, y, p.out);
      continue;
    }
    tile.y_dtype = Dtype::kF32;
    multiply(tile, columns, tile.x, weight, bias, sums.get(), columns);
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      cast_kernels().cast(at(sums.get(), i * columns, Dtype::kF32), Dtype::kF32,
                          at(y, i * p.out, p.y_dtype), p.y_dtype, columns);
    }
  }
}

// Row tiles are tasks of their own, except where each would expand the same weights.
void multiply_in_place(const Problem& p) {
  const std::int64_t tile_rows = piece_of(p.rows, kTileRows);
  const std::int64_t tiles_down = (p.rows + tile_rows - 1) / tile_rows;
  const std::int64_t tiles_across = (p.out + kTileColumns - 1) / kTileColumns;
  parallel_for(tiles_down * tiles_across, [&](std::int64_t i) {
    const std::int64_t row = i % tiles_down * tile_rows;
    const std::int64_t column = i / tiles_down * kTileColumns;
    column_tile(rows_of(p, row, std::min(row + tile_rows, p.rows)),
                at(p.weight, column * p.in, p.dtype), column,
                std::min(column + kTileColumns, p.out));
  });
}

std::shared_ptr<std::byte> expand_rows(const std::byte* x, std::int64_t rows, std::int64_t dim) {
  auto expanded = allocator::allocate(rows * dim * sizeof(float));
  parallel_blocks(rows, rows_per_block(dim), [&](std::int64_t begin, std::int64_t end) {
    cast_kernels().cast(at(x, begin * dim, Dtype::kBf16), Dtype::kBf16,
                        at(expanded.get(), begin * dim, Dtype::kF32), Dtype::kF32,
                        (end - begin) * dim);
  });
  return expanded;
}

void multiply_expanded(const Problem& p) {
  const std::int64_t strip_rows = piece_of(p.rows, kStripRows);
  for (std::int64_t row = 0; row < p.rows; row += strip_rows) {
    Problem strip = rows_of(p, row, std::min(row + strip_rows, p.rows));
    const auto x = expand_rows(strip.x, strip.rows, p.in);
    strip.x = x.get();
    strip.dtype = Dtype::kF32;
    parallel_blocks(p.out, kTileColumns, [&](std::int64_t begin, std::int64_t end) {
      const auto weight = expand_rows(at(p.weight, begin * p.in, Dtype::kBf16), end - begin, p.in);
      column_tile(strip, weight.get(), begin, end);
    });
  }
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
  if (x.dtype() == Dtype::kBf16 && path == Bf16Path::kExpand) {
    multiply_expanded(problem);
  } else {
    multiply_in_place(problem);
  }
}

}  // namespace zimage::cpu
