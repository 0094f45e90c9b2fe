// Blocks of 32 weights with a half as their scale. Loops over the 16 bytes of a block, whose low
// halves are the first 16 codes and whose high halves the others, are for the compiler to
// vectorise.
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/half.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

constexpr int kSize = 32;

// The four low bits and the four high bits of 16 bytes, with 16 added where the bit of `high` is
// set that belongs to the weight, and `offset` added to all.
struct Codes {
  std::int32_t values[kSize];
};

void fill(Codes& codes, const std::uint8_t* bytes, std::int32_t offset) {
  for (int i = 0; i < kSize / 2; ++i) {
    codes.values[i] = (bytes[i] & 15) + offset;
    codes.values[i + kSize / 2] = (bytes[i] >> 4) + offset;
  }
}

void fill(Codes& codes, const std::uint8_t* bytes, std::uint32_t high, std::int32_t offset) {
  fill(codes, bytes, offset);
  for (int i = 0; i < kSize; ++i) {
    codes.values[i] += static_cast<std::int32_t>((high >> i) & 1u) << 4;
  }
}

std::uint32_t word_at(const std::uint8_t* p) {
  std::uint32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}

void scale(const Codes& codes, float d, float* values) {
  for (int i = 0; i < kSize; ++i) values[i] = d * static_cast<float>(codes.values[i]);
}

void scale(const Codes& codes, float d, float m, float* values) {
  for (int i = 0; i < kSize; ++i) values[i] = d * static_cast<float>(codes.values[i]) + m;
}

// d, 16 bytes of codes: d * (code - 8).
void q4_0(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 18, values += kSize) {
    Codes codes;
    fill(codes, block + 2, -8);
    scale(codes, half_at(block), values);
  }
}

// d, m, 16 bytes of codes: d * code + m.
void q4_1(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 20, values += kSize) {
    Codes codes;
    fill(codes, block + 4, 0);
    scale(codes, half_at(block), half_at(block + 2), values);
  }
}

// d, a word of fifth bits, 16 bytes of codes: d * (code - 16).
void q5_0(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 22, values += kSize) {
    Codes codes;
    fill(codes, block + 6, word_at(block + 2), -16);
    scale(codes, half_at(block), values);
  }
}

// d, m, a word of fifth bits, 16 bytes of codes: d * code + m.
void q5_1(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 24, values += kSize) {
    Codes codes;
    fill(codes, block + 8, word_at(block + 4), 0);
    scale(codes, half_at(block), half_at(block + 2), values);
  }
}

// d, 32 signed bytes.
void q8_0(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 34, values += kSize) {
    const float d = half_at(block);
    const auto* const codes = reinterpret_cast<const std::int8_t*>(block + 2);
    for (int i = 0; i < kSize; ++i) values[i] = d * static_cast<float>(codes[i]);
  }
}

// d, 16 bytes of codes, which name one of 16 levels.
constexpr std::int8_t kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

void iq4_nl(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 18, values += kSize) {
    const float d = half_at(block);
    float levels[16];
    for (int i = 0; i < 16; ++i) levels[i] = d * static_cast<float>(kLevels[i]);
    for (int i = 0; i < kSize / 2; ++i) {
      values[i] = levels[block[2 + i] & 15];
      values[i + kSize / 2] = levels[block[2 + i] >> 4];
    }
  }
}

}  // namespace

const Block32Kernels block32_kernels = {
    .q4_0 = q4_0, .q4_1 = q4_1, .q5_0 = q5_0, .q5_1 = q5_1, .q8_0 = q8_0, .iq4_nl = iq4_nl};

}  // namespace zimage::cpu::ZIMAGE_ISA
