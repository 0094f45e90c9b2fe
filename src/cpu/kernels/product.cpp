#include "cpu/kernels/product.h"

#include "cpu/kernels/product_tile.h"
#include "cpu/kernels/transpose.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// Files align nothing for us.
template <class T>
T unaligned(const T* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}

// Words of consecutive channels, from the types that columns are stored in. `load` reads kLanes
// words, `word` one.
// As they are, but for the bits of kFlipped.
template <std::uint32_t kFlipped>
struct Words {
  using Element = std::uint32_t;
  static constexpr std::int64_t kPerWord = 1;
  static U32x load(const Element* p) { return load_words(p) ^ kFlipped; }
  static std::uint32_t word(const Element* p) { return unaligned(p) ^ kFlipped; }
};
using Int8AsUInt8 = Words<0x80808080u>;  // adds 128 to every byte

struct Bf16AsF32 {
  using Element = std::uint16_t;
  static constexpr std::int64_t kPerWord = 1;
  static U32x load(const Element* p) {
    U16x v;
    __builtin_memcpy(&v, p, sizeof(v));
    return widen(v) << 16;
  }
  static std::uint32_t word(const Element* p) { return std::uint32_t{unaligned(p)} << 16; }
};

struct Int8AsInt16 {
  using Element = std::int8_t;
  static constexpr std::int64_t kPerWord = 2;
  static U32x load(const Element* p) {
    U16x pairs;
    __builtin_memcpy(&pairs, p, sizeof(pairs));
    const I32x v = bits_as<I32x>(widen(pairs));
    return (bits_as<U32x>((v << 24) >> 24) & 0xffffu) | (bits_as<U32x>((v << 16) >> 24) << 16);
  }
  static std::uint32_t word(const Element* p) {
    return (static_cast<std::uint32_t>(p[0]) & 0xffffu) | (static_cast<std::uint32_t>(p[1]) << 16);
  }
};

template <class Source>
void pack_square(const typename Source::Element* source, std::int64_t stride,
                 std::uint32_t* panel) {
  U32x square[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) square[i] = Source::load(source + i * stride);
  transpose(square);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store_words(square[i], panel + i * kPanelColumns);
}

// `columns` < kLanes columns or `words` < kLanes words of a square.
template <class Source>
void pack_rest(const typename Source::Element* source, std::int64_t stride, std::int64_t columns,
               std::int64_t words, std::uint32_t* panel) {
  for (std::int64_t w = 0; w < words; ++w) {
    for (int c = 0; c < kLanes; ++c) {
      panel[w * kPanelColumns + c] =
          c < columns ? Source::word(source + c * stride + w * Source::kPerWord) : 0;
    }
  }
}

template <class Source>
void pack(const PackArgs& a) {
  const auto* const source = static_cast<const typename Source::Element*>(a.source);
  for (std::int64_t first = 0; first < a.columns; first += kPanelColumns) {
    std::uint32_t* const panel = a.panels + first * a.words;
    for (std::int64_t c = first; c < first + kPanelColumns; c += kLanes) {
      const std::int64_t columns = a.columns - c < kLanes ? a.columns - c : kLanes;
      for (std::int64_t w = 0; w < a.words; w += kLanes) {
        const std::int64_t words = a.words - w < kLanes ? a.words - w : kLanes;
        const auto* const at = source + c * a.stride + w * Source::kPerWord;
        std::uint32_t* const to = panel + w * kPanelColumns + (c - first);
        if (columns == kLanes && words == kLanes) {
          pack_square<Source>(at, a.stride, to);
        } else {
          pack_rest<Source>(at, a.stride, columns, words, to);
        }
      }
    }
  }
}

void pack_rows(const PackArgs& a) {
  const auto* const source = static_cast<const std::uint32_t*>(a.source);
  for (std::int64_t first = 0; first < a.columns; first += kPanelColumns) {
    std::uint32_t* const panel = a.panels + first * a.words;
    const std::int64_t n = a.columns - first < kPanelColumns ? a.columns - first : kPanelColumns;
    for (std::int64_t w = 0; w < a.words; ++w) {
      std::uint32_t* const to = panel + w * kPanelColumns;
      __builtin_memcpy(to, source + w * a.stride + first, n * sizeof(std::uint32_t));
      for (std::int64_t c = n; c < kPanelColumns; ++c) to[c] = 0;
    }
  }
}

}  // namespace

const ProductKernels product_kernels = {.panel_columns = kPanelColumns,
                                        .f32 = multiply<F32Words>,
                                        .int16 = multiply<Int16Words>,
                                        .pack_words = pack<Words<0>>,
                                        .pack_bf16_as_f32 = pack<Bf16AsF32>,
                                        .pack_int8_as_int16 = pack<Int8AsInt16>,
                                        .pack_int8_as_uint8 = pack<Int8AsUInt8>,
                                        .pack_rows = pack_rows};

}  // namespace zimage::cpu::ZIMAGE_ISA
