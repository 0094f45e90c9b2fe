// Blocks of 256 weights ("K"): groups of 16 or 32 with small scales of their own, which one or two
// halves scale in turn. Codes of few bits lie in planes: the weights of a half or of a quarter of
// the block share bytes, each at its own shift.
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/half.h"

namespace zimage::cpu::ZIMAGE_ISA {
namespace {

constexpr int kSize = 256;

// values = d * code - m for n codes that code(i) gives.
template <int n, class Code>
void scale(float d, float m, float* values, Code&& code) {
  for (int i = 0; i < n; ++i) values[i] = d * static_cast<float>(code(i)) - m;
}
template <int n, class Code>
void scale(float d, float* values, Code&& code) {
  for (int i = 0; i < n; ++i) values[i] = d * static_cast<float>(code(i));
}

// 16 bytes (scale, and minimum in the high bits) for groups of 16, 64 bytes of codes of 2 bits, d,
// dmin. A half of the block has 32 bytes, with the codes of weight i + 32 * plane in byte i.
void q2_k(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 84, values += kSize) {
    const float d = half_at(block + 80), dmin = half_at(block + 82);
    for (int group = 0; group < 16; ++group) {
      const float dl = d * static_cast<float>(block[group] & 15);
      const float ml = dmin * static_cast<float>(block[group] >> 4);
      const std::uint8_t* const codes = block + 16 + group / 8 * 32 + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      scale<16>(dl, ml, values + 16 * group, [&](int i) { return (codes[i] >> shift) & 3; });
    }
  }
}

// The scales of q3_k: 16 of 6 bits in 12 bytes. The low four bits are in bytes 0 to 7, of groups 0
// to 7 and 8 to 15; the high two in bytes 8 to 11, of groups 0 to 3 and so on.
int q3_k_scale(const std::uint8_t* scales, int group) {
  const int low = (scales[group % 8] >> (group / 8 * 4)) & 15;
  const int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
  return (low | (high << 4)) - 32;
}

// 32 bytes of third bits, which take 4 away where they are not set: bit p of byte i is of weight
// i + 32 * p; 64 bytes of codes of 2 bits as in q2_k; 12 bytes of scales; d.
void q3_k(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 110, values += kSize) {
    const float d = half_at(block + 108);
    for (int group = 0; group < 16; ++group) {
      const float dl = d * static_cast<float>(q3_k_scale(block + 96, group));
      const std::uint8_t* const high = block + group % 2 * 16;
      const std::uint8_t* const codes = block + 32 + group / 8 * 32 + group % 2 * 16;
      const int plane = group / 2, shift = group % 8 / 2 * 2;
      scale<16>(dl, values + 16 * group,
                [&](int i) { return ((codes[i] >> shift) & 3) - ((~high[i] >> plane) & 1) * 4; });
    }
  }
}

// Scales and minima of q4_k and q5_k: eight of 6 bits each in 12 bytes. Those of groups 0 to 3 are
// the low bits of bytes 0 to 3 (scales) and 4 to 7 (minima), whose high two bits belong to groups 4
// to 7; these have their low four bits in bytes 8 to 11.
struct ScaleMin {
  int scale, min;
};
ScaleMin scale_min(const std::uint8_t* bytes, int group) {
  if (group < 4) return {bytes[group] & 63, bytes[group + 4] & 63};
  const int low = bytes[group + 4];
  return {(low & 15) | ((bytes[group - 4] >> 2) & 48), (low >> 4) | ((bytes[group] >> 2) & 48)};
}

// d, dmin, 12 bytes of scales and minima for groups of 32, 128 bytes of codes: a quarter of the
// block has 32 bytes, with the first 32 weights in the low bits.
void q4_k(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 144, values += kSize) {
    const float d = half_at(block), dmin = half_at(block + 2);
    for (int group = 0; group < 8; ++group) {
      const auto [sc, min] = scale_min(block + 4, group);
      const std::uint8_t* const codes = block + 16 + group / 2 * 32;
      const int shift = group % 2 * 4;
      scale<32>(d * static_cast<float>(sc), dmin * static_cast<float>(min), values + 32 * group,
                [&](int i) { return (codes[i] >> shift) & 15; });
    }
  }
}

// As q4_k, with 32 bytes of fifth bits before the codes: bit g of byte i is of weight i of group g.
void q5_k(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 176, values += kSize) {
    const float d = half_at(block), dmin = half_at(block + 2);
    const std::uint8_t* const high = block + 16;
    for (int group = 0; group < 8; ++group) {
      const auto [sc, min] = scale_min(block + 4, group);
      const std::uint8_t* const codes = block + 48 + group / 2 * 32;
      const int shift = group % 2 * 4;
      scale<32>(
          d * static_cast<float>(sc), dmin * static_cast<float>(min), values + 32 * group,
          [&](int i) { return ((codes[i] >> shift) & 15) | (((high[i] >> group) & 1) << 4); });
    }
  }
}

// 128 bytes of low four bits, 64 of high two bits, 16 signed scales for groups of 16, d. A half of
// the block has 64 bytes and 32 bytes of them: weight i of its quarter q is in byte
// i + 32 * (q % 2) at bit 4 * (q / 2), and in byte i at bit 2 * q.
void q6_k(const std::uint8_t* block, std::int64_t n, float* values) {
  for (; n > 0; --n, block += 210, values += kSize) {
    const float d = half_at(block + 208);
    const auto* const scales = reinterpret_cast<const std::int8_t*>(block + 192);
    for (int group = 0; group < 16; ++group) {
      const int half = group / 8, quarter = group % 8 / 2, at = group % 2 * 16;
      const std::uint8_t* const low = block + 64 * half + 32 * (quarter % 2) + at;
      const std::uint8_t* const high = block + 128 + 32 * half + at;
      const int low_shift = 4 * (quarter / 2), high_shift = 2 * quarter;
      scale<16>(d * static_cast<float>(scales[group]), values + 16 * group, [&](int i) {
        return (((low[i] >> low_shift) & 15) | (((high[i] >> high_shift) & 3) << 4)) - 32;
      });
    }
  }
}

}  // namespace

const Block256Kernels block256_kernels = {
    .q2_k = q2_k, .q3_k = q3_k, .q4_k = q4_k, .q5_k = q5_k, .q6_k = q6_k};

}  // namespace zimage::cpu::ZIMAGE_ISA
