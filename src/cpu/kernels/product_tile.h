// The inner loop of every matrix product: a tile of sums stays in registers while words of x and of
// a panel stream past.
#pragma once

#include "cpu/kernels/product.h"
#include "cpu/kernels/words.h"

namespace zimage::cpu::ZIMAGE_ISA {

// Registers across and rows of a tile: 12 sums, two registers of the panel, one of x and one for a
// product of the 16 that SSE and AVX2 have; 24, four and two of AVX-512's 32.
inline constexpr int kTileRegisters = kLanes == 16 ? 4 : 2;
inline constexpr int kTileRows = 6;
inline constexpr int kPanelColumns = kTileRegisters * kLanes;
// Rows that pass a panel before the next one does: their words stay in the L2 cache.
inline constexpr std::int64_t kBlockRows = 4 * kTileRows;
// Of a cache line.
inline constexpr std::int64_t kLineWords = 16;

struct F32Words {
  using Sums = F32x;
  static Sums add_product(U32x x, U32x panel, Sums sums) {
    return mul_add(bits_as<F32x>(x), bits_as<F32x>(panel), sums);
  }
};

struct Int16Words {
  using Sums = I32x;
  static Sums add_product(U32x x, U32x panel, Sums sums) {
#if defined(__AVX512BW__)
    return sums + bits_as<I32x>(_mm512_madd_epi16(bits_as<__m512i>(x), bits_as<__m512i>(panel)));
#elif defined(__AVX2__)
    return sums + bits_as<I32x>(_mm256_madd_epi16(bits_as<__m256i>(x), bits_as<__m256i>(panel)));
#else
    const I32x a = bits_as<I32x>(x), b = bits_as<I32x>(panel);
    return sums + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
  }
};

// The unrolling keeps the sums in registers; without it g++ puts the array into memory.
template <class Words, int kRows>
inline void multiply_tile(const std::uint32_t* x, std::int64_t x_stride, const std::uint32_t* panel,
                          std::int64_t words, std::uint32_t* sums, std::int64_t sums_stride,
                          bool is_accumulating) {
  using Sums = typename Words::Sums;
  Sums tile[kRows][kTileRegisters] = {};
  for (std::int64_t w = 0; w < words; ++w) {
    if (w % kLineWords == 0) {  // the rows of the next tile
#pragma GCC unroll 6
      for (int i = 0; i < kRows; ++i) __builtin_prefetch(x + (i + kTileRows) * x_stride + w);
    }
    U32x columns[kTileRegisters];
#pragma GCC unroll 4
    for (int j = 0; j < kTileRegisters; ++j) columns[j] = load_words(panel + j * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const U32x word = broadcast_word(x[i * x_stride + w]);
#pragma GCC unroll 4
      for (int j = 0; j < kTileRegisters; ++j) {
        tile[i][j] = Words::add_product(word, columns[j], tile[i][j]);
      }
    }
    panel += kPanelColumns;
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileRegisters; ++j) {
      std::uint32_t* const at = sums + i * sums_stride + j * kLanes;
      if (is_accumulating) tile[i][j] += bits_as<Sums>(load_words(at));
      store_words(bits_as<U32x>(tile[i][j]), at);
    }
  }
}

// Up to kTileRows rows from `row` on.
template <class Words>
inline void multiply_rows(const ProductArgs& a, std::int64_t row, std::int64_t rows,
                          const std::uint32_t* panel, std::uint32_t* sums) {
  const std::uint32_t* const x = static_cast<const std::uint32_t*>(a.x) + row * a.x_stride;
  std::uint32_t* const y = sums + row * a.sums_stride;
  const auto tile = [&]<int kRows>() {
    multiply_tile<Words, kRows>(x, a.x_stride, panel, a.words, y, a.sums_stride, a.is_accumulating);
  };
  switch (rows) {
    case 1: tile.template operator()<1>(); break;
    case 2: tile.template operator()<2>(); break;
    case 3: tile.template operator()<3>(); break;
    case 4: tile.template operator()<4>(); break;
    case 5: tile.template operator()<5>(); break;
    default: tile.template operator()<kTileRows>(); break;
  }
}

template <class Words>
void multiply(const ProductArgs& a) {
  const std::uint32_t* const panels = static_cast<const std::uint32_t*>(a.panels);
  for (std::int64_t block = 0; block < a.rows; block += kBlockRows) {
    const std::int64_t end = block + kBlockRows < a.rows ? block + kBlockRows : a.rows;
    for (std::int64_t c = 0; c < a.columns; c += kPanelColumns) {
      const std::uint32_t* const panel = panels + c * a.words;
      for (std::int64_t row = block; row < end; row += kTileRows) {
        multiply_rows<Words>(a, row, end - row, panel, static_cast<std::uint32_t*>(a.sums) + c);
      }
    }
  }
}

}  // namespace zimage::cpu::ZIMAGE_ISA
