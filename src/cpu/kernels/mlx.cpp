#include "cpu/kernels/mlx.h"

#include "cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

// Codes of kBits bits, the first in the lowest bits of a word.
template <int kBits>
std::uint32_t code_at(const std::uint32_t* words, std::int64_t channel) {
  constexpr int kPerWord = 32 / kBits;
  return words[channel / kPerWord] >> (channel % kPerWord * kBits) & ((1u << kBits) - 1);
}

// A register of codes; the channel is a multiple of kLanes.
template <int kBits>
U32x codes_at(const std::uint32_t* words, std::int64_t channel) {
#if defined(__AVX512F__)
  const std::uint32_t* const word = words + channel * kBits / 32;
  if constexpr (kBits == 8) {
    __m128i bytes;
    __builtin_memcpy(&bytes, word, sizeof(bytes));
    return bits_as<U32x>(_mm512_maskz_cvtepu8_epi32(0xffff, bytes));
  } else {
    const U32x pair = bits_as<U32x>(_mm512_mask_set1_epi32(
        _mm512_set1_epi32(static_cast<int>(word[0])), 0xff00, static_cast<int>(word[1])));
    constexpr U32x kShifts{0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28};
    return pair >> kShifts & 15u;
  }
#elif defined(__AVX2__)
  const std::uint32_t* const word = words + channel * kBits / 32;
  if constexpr (kBits == 8) {
    return bits_as<U32x>(_mm256_cvtepu8_epi32(
        _mm_set_epi32(0, 0, static_cast<int>(word[1]), static_cast<int>(word[0]))));
  } else {
    constexpr U32x kShifts{0, 4, 8, 12, 16, 20, 24, 28};
    return (U32x{} + word[0]) >> kShifts & 15u;
  }
#else
  U32x codes;
  for (int i = 0; i < kLanes; ++i) codes[i] = code_at<kBits>(words, channel + i);
  return codes;
#endif
}

F32x to_float(U32x codes) { return __builtin_convertvector(bits_as<I32x>(codes), F32x); }

// The values of e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and below zero the same again.
F32x fp4_value(U32x codes) {
  const U32x magnitude = codes & 7u;
  const U32x small = (U32x{} - magnitude) & 0x3f000000u;  // of 0 and 0.5
  const U32x other = (magnitude << 22) + 0x3f000000u;
  return bits_as<F32x>((magnitude < 2u ? small : other) | (codes & 8u) << 28);
}
float fp4_value(std::uint32_t code) { return fp4_value(U32x{} + code)[0]; }

// Group by group: value(codes, group) for registers and for single codes.
template <int kBits, class Value>
void decode(const MlxRow& row, Value&& value) {
  const std::int64_t first = row.channel / row.group_size, end = row.channel + row.n;
  float* const y = row.y - row.channel;
  for (std::int64_t c = row.channel; c < end;) {
    const std::int64_t group = c / row.group_size, i = group - first;
    const std::int64_t next = (group + 1) * row.group_size;
    const std::int64_t stop = next < end ? next : end;
    for (; c < stop && c % kLanes != 0; ++c) y[c] = value(code_at<kBits>(row.words, c), i);
    for (; c + kLanes <= stop; c += kLanes) {
      store(value(codes_at<kBits>(row.words, c), i), y + c);
    }
    for (; c < stop; ++c) y[c] = value(code_at<kBits>(row.words, c), i);
  }
}

struct Affine {
  const MlxRow& row;
  F32x operator()(U32x codes, std::int64_t group) const {
    return to_float(codes) * row.scales[group] + row.biases[group];
  }
  float operator()(std::uint32_t code, std::int64_t group) const {
    return static_cast<float>(code) * row.scales[group] + row.biases[group];
  }
};

struct Fp4 {
  const MlxRow& row;
  template <class Codes>
  auto operator()(Codes codes, std::int64_t group) const {
    return fp4_value(codes) * row.scales[group];
  }
};

void decode_affine4(const MlxRow& row) { decode<4>(row, Affine{row}); }
void decode_affine8(const MlxRow& row) { decode<8>(row, Affine{row}); }
void decode_fp4(const MlxRow& row) { decode<4>(row, Fp4{row}); }

// code(x) for every weight, packed.
template <int kBits, class Code>
void encode(const MlxGroup& group, Code&& code) {
  constexpr int kPerWord = 32 / kBits;
  for (std::int64_t i = 0; i < group.n; i += kPerWord) {
    std::uint32_t word = 0;
    for (int k = 0; k < kPerWord; ++k) word |= code(group.x[i + k]) << (k * kBits);
    group.words[i / kPerWord] = word;
  }
}

template <int kBits>
void encode_affine(const MlxGroup& group) {
  constexpr float kLargest = (1 << kBits) - 1;
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even; what lies beyond
  // is clamped before.
  constexpr float kRound = 0x1.8p23f;
  encode<kBits>(group, [&](float x) {
    float code = (x - group.bias) / group.scale;
    code = code > 0 ? code : 0;
    code = code < kLargest ? code : kLargest;
    return static_cast<std::uint32_t>(static_cast<std::int32_t>((code + kRound) - kRound));
  });
}

void encode_affine4(const MlxGroup& group) { encode_affine<4>(group); }
void encode_affine8(const MlxGroup& group) { encode_affine<8>(group); }

// Halfway between two magnitudes the smaller one, and no zero below zero.
void encode_fp4(const MlxGroup& group) {
  encode<4>(group, [&](float x) {
    const float value = x / group.scale, m = value < 0 ? -value : value;
    const std::uint32_t code = static_cast<std::uint32_t>(m > 0.25f) + (m > 0.75f) + (m > 1.25f) +
                               (m > 1.75f) + (m > 2.5f) + (m > 3.5f) + (m > 5.0f);
    return value < 0 && code > 0 ? code | 8u : code;
  });
}

}  // namespace

const MlxKernels mlx_kernels = {.decode_affine4 = decode_affine4,
                                .decode_affine8 = decode_affine8,
                                .decode_fp4 = decode_fp4,
                                .encode_affine4 = encode_affine4,
                                .encode_affine8 = encode_affine8,
                                .encode_fp4 = encode_fp4};

}  // namespace zimage::cpu::ZIMAGE_ISA
