#include "cpu/matmul.h"

#include <algorithm>
#include <cassert>

#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/kernels/product_dot.h"
#include "cpu/pieces.h"

namespace zimage::cpu {
namespace {

// Columns packed at a time; a multiple of every panel.
constexpr std::int64_t kBlockColumns = kMaxStoredColumns;
// Words packed at a time: with a block's columns 320 KiB, for the L2 cache.
constexpr std::int64_t kChunkWords = 1280;
// Rows that are worth packing the columns for once more, to have tasks for all threads.
constexpr std::int64_t kTaskRows = 192;
// Rows of x that one task loads.
constexpr std::int64_t kLoadedRows = 16;
// The L1 cache has a place for eight lines that lie a multiple of this apart; six rows of x at once
// would take nearly all.
constexpr std::int64_t kAliasWords = 1024;

std::uint32_t* words_of(Tensor& x) { return reinterpret_cast<std::uint32_t*>(x.raw()); }
const std::uint32_t* words_of(const Tensor& x) {
  return reinterpret_cast<const std::uint32_t*>(x.raw());
}

// Where the words of a strip are: chunk by chunk, the rows of a chunk below each other.
class Chunks {
 public:
  Chunks(std::int64_t words, std::int64_t rows)
      : words_(words),
        rows_(rows),
        length_(std::min(piece_of(words, kChunkWords, 16), words)),
        stride_(length_ % kAliasWords == 0 ? length_ + 16 : length_) {}

  std::int64_t count() const { return (words_ + length_ - 1) / length_; }
  Range words(std::int64_t i) const { return {i * length_, std::min((i + 1) * length_, words_)}; }
  std::int64_t stride() const { return stride_; }
  std::int64_t offset(std::int64_t i) const { return i * rows_ * stride_; }
  std::int64_t length() const { return length_; }

 private:
  std::int64_t words_, rows_, length_, stride_;
};

// Rows of a strip that a task takes: all, unless there are fewer blocks of columns than threads.
std::int64_t task_rows(std::int64_t rows, std::int64_t columns) {
  const std::int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  const std::int64_t wanted = (4 * num_threads() + blocks - 1) / blocks;
  const std::int64_t pieces = std::clamp<std::int64_t>(rows / kTaskRows, 1, wanted);
  return piece_of(rows, (rows + pieces - 1) / pieces, 6);
}

class Strip {
 public:
  Strip(const Matmul& m, Range rows)
      : m_(m), rows_(rows), chunks_(m.words, rows.size()), x_(load()) {}

  void run() const {
    const std::int64_t blocks = (m_.columns + kBlockColumns - 1) / kBlockColumns;
    const std::int64_t length = task_rows(rows_.size(), m_.columns);
    const std::int64_t down = (rows_.size() + length - 1) / length;
    parallel_for(blocks * down, [&](std::int64_t i) {
      const std::int64_t column = i / down * kBlockColumns, row = i % down * length;
      multiply_block({row, std::min(row + length, rows_.size())},
                     {column, std::min(column + kBlockColumns, m_.columns)});
    });
  }

 private:
  Tensor load() const {
    Tensor x = empty({chunks_.count(), rows_.size(), chunks_.stride()}, Dtype::kI32);
    parallel_blocks(rows_.size(), kLoadedRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < chunks_.count(); ++i) {
        m_.load_rows({rows_.begin + begin, rows_.begin + end}, chunks_.words(i),
                     words_of(x) + chunks_.offset(i) + begin * chunks_.stride(), chunks_.stride());
      }
    });
    return x;
  }

  // rows: of the strip.
  void multiply_block(Range rows, Range columns) const {
    const std::int64_t panel = product_kernels().panel_columns;
    const std::int64_t width = whole(columns.size(), panel);
    Tensor panels = empty({width, chunks_.length()}, Dtype::kI32);
    Tensor sums = empty({rows.size(), width}, Dtype::kI32);
    for (std::int64_t i = 0; i < chunks_.count(); ++i) {
      m_.load_columns(columns, chunks_.words(i), words_of(panels));
      product_kernel(m_.kind)(
          {.x = words_of(x_) + chunks_.offset(i) + rows.begin * chunks_.stride(),
           .x_stride = chunks_.stride(),
           .rows = rows.size(),
           .words = chunks_.words(i).size(),
           .panels = panels.raw(),
           .columns = width,
           .sums = sums.raw(),
           .sums_stride = width,
           .is_accumulating = i > 0});
    }
    m_.store({rows_.begin + rows.begin, rows_.begin + rows.end}, columns, sums.raw(), width);
  }

  const Matmul& m_;
  Range rows_;
  Chunks chunks_;
  Tensor x_;
};

}  // namespace

void multiply(const Matmul& m) {
  assert(m.rows > 0 && m.columns > 0 && m.words > 0);
  const std::int64_t length = piece_of(m.rows, m.strip_rows, 6);
  for (std::int64_t row = 0; row < m.rows; row += length) {
    Strip(m, {row, std::min(row + length, m.rows)}).run();
  }
}

std::int64_t times_loaded(std::int64_t rows, std::int64_t columns, std::int64_t strip_rows) {
  if (rows == 0 || columns == 0) return 0;
  std::int64_t times = 0;
  const std::int64_t length = piece_of(rows, strip_rows, 6);
  for (std::int64_t row = 0; row < rows; row += length) {
    const std::int64_t strip = std::min(length, rows - row), task = task_rows(strip, columns);
    times += (strip + task - 1) / task;
  }
  return times;
}

ProductKernel product_kernel(ProductKind kind) {
  switch (kind) {
    case ProductKind::kF32: return product_kernels().f32;
    case ProductKind::kInt16: return product_kernels().int16;
    case ProductKind::kBf16: return avx512_bf16::product_bf16;
    case ProductKind::kInt8: return avx512_vnni::product_int8;
  }
  return nullptr;
}

// A word cannot hold the end of one row and the beginning of the next, hence pairs in even rows
// only.
ProductKind product_kind(Dtype dtype, std::int64_t channels, Bf16Path path) {
  const bool has_pairs = dtype == Dtype::kBf16 && path == Bf16Path::kDot && channels % 2 == 0;
  return has_pairs ? ProductKind::kBf16 : ProductKind::kF32;
}

}  // namespace zimage::cpu
