#pragma once

#include <cstdint>
#include <functional>

#include "core/dtype.h"
#include "cpu/bf16_speed.h"
#include "cpu/kernels/product.h"

namespace zimage::cpu {

// The most columns that `store` gets at a time.
inline constexpr std::int64_t kMaxStoredColumns = 64;

// Rows of x whose words a linear layer holds at a time: many enough that packing the weights costs
// nothing beside, few enough to bound memory.
inline constexpr std::int64_t kLinearStripRows = 2304;

struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

// A product of x, [rows, words], with columns, [words]. Words are those of `kind`. The functions
// are called by several threads at the same time.
struct Matmul {
  ProductKind kind;
  std::int64_t rows, columns, words;
  std::int64_t
      strip_rows;  // whose words are held at a time; columns are packed anew for each strip
  // Words of rows of x, the rows `stride` apart.
  std::function<void(Range rows, Range words, std::uint32_t* x, std::int64_t stride)> load_rows;
  // The panels of columns, as PackKernel makes them.
  std::function<void(Range columns, Range words, std::uint32_t* panels)> load_columns;
  // Takes the sums: f32, or i32 for integers; the rows `stride` apart.
  std::function<void(Range rows, Range columns, const void* sums, std::int64_t stride)> store;
};

// How often `load_columns` gets every column: once for each strip, and again where few columns for
// many threads are shared out by rows, too.
std::int64_t times_loaded(std::int64_t rows, std::int64_t columns, std::int64_t strip_rows);

// The sums do not depend on the number of threads, nor do those of a row on the other rows.
void multiply(const Matmul& matmul);

ProductKernel product_kernel(ProductKind kind);

// For operands of a floating-point dtype with this many channels.
ProductKind product_kind(Dtype dtype, std::int64_t channels, Bf16Path path);

}  // namespace zimage::cpu
