#pragma once

#include <cstdint>

#include "cpu/dispatch.h"

namespace zimage::cpu {

// What a matrix product multiplies: words of 32 bits, each of consecutive channels. Sums are f32
// for floats and i32 for integers.
enum class ProductKind : std::uint8_t {
  kF32,    // one f32
  kBf16,   // two bf16; needs AVX-512 BF16
  kInt16,  // two i16
  kInt8,   // four bytes, signed in x and unsigned in the panels; needs AVX-512 VNNI
};

// sums[r, c] = sum over w of x[r, w] . panels[w, c], for each word the sum of its products. Every
// element is summed in the order of w, whatever rows and columns are multiplied with it.
struct ProductArgs {
  const void* x;          // [rows] rows of words
  std::int64_t x_stride;  // words from one row to the next
  std::int64_t rows, words;
  const void* panels;    // [columns / panel_columns, words, panel_columns] words
  std::int64_t columns;  // a multiple of panel_columns
  void* sums;            // [rows, columns]
  std::int64_t sums_stride;
  bool is_accumulating;  // onto what sums holds, which is overwritten otherwise
};

using ProductKernel = void (*)(const ProductArgs& args);

// Columns in memory: one after the other, `stride` elements apart.
struct PackArgs {
  const void* source;
  std::int64_t stride;
  std::int64_t columns, words;  // words of each
  std::uint32_t* panels;        // columns past `columns` become zero
};

using PackKernel = void (*)(const PackArgs& args);

struct ProductKernels {
  std::int64_t panel_columns;
  ProductKernel f32, int16;
  // Of source elements that are words (f32 or pairs of bf16), of bf16 that become f32, of pairs of
  // int8 that become i16, and of words of four int8 to which 128 is added. The stride is in
  // elements: words, bf16, int8 and words.
  PackKernel pack_words, pack_bf16_as_f32, pack_int8_as_int16, pack_int8_as_uint8;
  // The source holds one row of `columns` words for every word of the panels, not columns.
  PackKernel pack_rows;
};

ZIMAGE_KERNELS(ProductKernels, product_kernels);

}  // namespace zimage::cpu
