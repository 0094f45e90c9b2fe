#include "block_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/parallel.h"

namespace zimage::bench {
namespace {

using Byte = std::uint8_t;

// The nearest half that is not larger in magnitude than 65504; returns its value.
float put_half(float value, Byte* p) {
  const float magnitude = std::min(std::abs(value), 65504.0f);
  int exponent = 0;
  (void)std::frexp(magnitude, &exponent);
  const float unit = std::ldexp(1.0f, std::max(exponent - 11, -24));
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(magnitude / unit));
  // Steps of a normal half hold its implicit bit, which raises the exponent by one.
  const int field = std::max(exponent - 11, -24) + 24;
  const std::uint32_t bits = (static_cast<std::uint32_t>(field) << 10) + steps;
  const auto half = static_cast<std::uint16_t>(bits | (std::signbit(value) ? 0x8000u : 0u));
  std::memcpy(p, &half, sizeof half);
  return f16_to_float(half);
}

int code_of(float value, float scale, int least, int most) {
  const float code = scale == 0 ? 0 : std::nearbyint(value / scale);
  return std::clamp(static_cast<int>(code), least, most);
}

// The value of largest magnitude, with its sign.
float extreme(const float* x, int n) {
  return *std::max_element(x, x + n, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

// --- Blocks of 32. Codes of 4 bits: weight i and i + 16 share a byte; fifth bits are in a word.
void put_nibbles(const std::array<int, 32>& codes, Byte* p) {
  for (int i = 0; i < 16; ++i)
    p[i] = static_cast<Byte>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}
void put_fifth_bits(const std::array<int, 32>& codes, Byte* p) {
  std::uint32_t word = 0;
  for (unsigned i = 0; i < 32; ++i) word |= static_cast<std::uint32_t>(codes[i] >> 4 & 1) << i;
  std::memcpy(p, &word, sizeof word);
}

// Codes around `zero`, the largest weight at the end that has one code more.
std::array<int, 32> symmetric(const float* x, int zero, Byte* d_at) {
  const float d = put_half(extreme(x, 32) / static_cast<float>(-zero), d_at);
  std::array<int, 32> codes{};
  for (int i = 0; i < 32; ++i) codes[i] = code_of(x[i], d, -zero, zero - 1) + zero;
  return codes;
}

std::array<int, 32> between(const float* x, int most, Byte* d_at, Byte* m_at) {
  const auto [least, largest] = std::minmax_element(x, x + 32);
  const float d = put_half((*largest - *least) / static_cast<float>(most), d_at);
  const float m = put_half(*least, m_at);
  std::array<int, 32> codes{};
  for (int i = 0; i < 32; ++i) codes[i] = code_of(x[i] - m, d, 0, most);
  return codes;
}

void q4_0(const float* x, Byte* b) { put_nibbles(symmetric(x, 8, b), b + 2); }
void q4_1(const float* x, Byte* b) { put_nibbles(between(x, 15, b, b + 2), b + 4); }
void q5_0(const float* x, Byte* b) {
  const auto codes = symmetric(x, 16, b);
  put_fifth_bits(codes, b + 2);
  put_nibbles(codes, b + 6);
}
void q5_1(const float* x, Byte* b) {
  const auto codes = between(x, 31, b, b + 2);
  put_fifth_bits(codes, b + 4);
  put_nibbles(codes, b + 8);
}
void q8_0(const float* x, Byte* b) {
  const float d = put_half(std::abs(extreme(x, 32)) / 127, b);
  for (int i = 0; i < 32; ++i) b[2 + i] = static_cast<Byte>(code_of(x[i], d, -127, 127));
}
void iq4_nl(const float* x, Byte* b) {
  constexpr std::array<int, 16> kLevels{-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
  const float d = put_half(extreme(x, 32) / -127, b);
  std::array<int, 32> codes{};
  for (int i = 0; i < 32; ++i) {
    const auto distance = [&](int level) { return std::abs(d * static_cast<float>(level) - x[i]); };
    const auto* const best = std::min_element(
        kLevels.begin(), kLevels.end(), [&](int a, int c) { return distance(a) < distance(c); });
    codes[i] = static_cast<int>(best - kLevels.begin());
  }
  put_nibbles(codes, b + 2);
}

// --- Blocks of 256.
using Codes = std::array<int, 256>;

// Groups with a scale and a minimum below zero, both of few bits: d * scale * code - dmin * min.
template <int kGroup>
struct Ranges {
  static constexpr int kGroups = 256 / kGroup;
  std::array<int, kGroups> scales{}, mins{};
  Codes codes{};

  Ranges(const float* x, int most, int most_scale, Byte* d_at, Byte* dmin_at) {
    std::array<float, kGroups> ranges{}, offsets{};
    for (int g = 0; g < kGroups; ++g) {
      const auto [least, largest] = std::minmax_element(x + g * kGroup, x + (g + 1) * kGroup);
      offsets[g] = std::max(-*least, 0.0f);
      ranges[g] = (std::max(*largest, 0.0f) + offsets[g]) / static_cast<float>(most);
    }
    const auto top = static_cast<float>(most_scale);
    const float d = put_half(*std::max_element(ranges.begin(), ranges.end()) / top, d_at);
    const float dmin = put_half(*std::max_element(offsets.begin(), offsets.end()) / top, dmin_at);
    for (int g = 0; g < kGroups; ++g) {
      scales[g] = code_of(ranges[g], d, 0, most_scale);
      mins[g] = code_of(offsets[g], dmin, 0, most_scale);
      const float scale = d * static_cast<float>(scales[g]), m = dmin * static_cast<float>(mins[g]);
      for (int i = g * kGroup; i < (g + 1) * kGroup; ++i) {
        codes[i] = code_of(x[i] + m, scale, 0, most);
      }
    }
  }
};

// Groups of 16 with a signed scale: d * scale * (code - zero).
struct Signed {
  std::array<int, 16> scales{};
  Codes codes{};

  Signed(const float* x, int zero, int most_scale, Byte* d_at) {
    std::array<float, 16> steps{};
    for (int g = 0; g < 16; ++g) steps[g] = extreme(x + 16 * g, 16) / static_cast<float>(-zero);
    const float d = put_half(extreme(steps.data(), 16) / static_cast<float>(-most_scale), d_at);
    for (int g = 0; g < 16; ++g) {
      scales[g] = code_of(steps[g], d, -most_scale, most_scale - 1);
      const float scale = d * static_cast<float>(scales[g]);
      for (int i = 16 * g; i < 16 * (g + 1); ++i) {
        codes[i] = code_of(x[i], scale, -zero, zero - 1) + zero;
      }
    }
  }
};

// Two bits of every code: those of weights 32 apart share a byte, four to each.
void put_pairs(const Codes& codes, int shift, Byte* p) {
  for (int i = 0; i < 256; ++i) {
    p[i / 128 * 32 + i % 32] |= static_cast<Byte>((codes[i] >> shift & 3) << (i % 128 / 32 * 2));
  }
}

// One bit of every code: those of weights 32 apart share a byte.
void put_bits(const Codes& codes, int shift, bool is_flipped, Byte* p) {
  for (int i = 0; i < 256; ++i) {
    const int bit = (codes[i] >> shift & 1) ^ (is_flipped ? 1 : 0);
    p[i % 32] |= static_cast<Byte>(bit << (i / 32));
  }
}

// The low four bits: weights 32 apart share a byte, of every 64.
void put_low(const Codes& codes, Byte* p) {
  for (int i = 0; i < 256; ++i) {
    p[i / 64 * 32 + i % 32] |= static_cast<Byte>((codes[i] & 15) << (i % 64 / 32 * 4));
  }
}

void put_scales_mins(const Ranges<32>& ranges, Byte* p) {
  for (int g = 0; g < 4; ++g) {
    const int scale = ranges.scales[g + 4], min = ranges.mins[g + 4];
    p[g] = static_cast<Byte>(ranges.scales[g] | scale >> 4 << 6);
    p[g + 4] = static_cast<Byte>(ranges.mins[g] | min >> 4 << 6);
    p[g + 8] = static_cast<Byte>((scale & 15) | (min & 15) << 4);
  }
}

void q2_k(const float* x, Byte* b) {
  const Ranges<16> ranges(x, 3, 15, b + 80, b + 82);
  for (int g = 0; g < 16; ++g) b[g] = static_cast<Byte>(ranges.scales[g] | ranges.mins[g] << 4);
  put_pairs(ranges.codes, 0, b + 16);
}
void q3_k(const float* x, Byte* b) {
  const Signed groups(x, 4, 32, b + 108);
  put_bits(groups.codes, 2, false, b);
  put_pairs(groups.codes, 0, b + 32);
  for (int g = 0; g < 16; ++g) {
    const int scale = groups.scales[g] + 32;
    b[96 + g % 8] |= static_cast<Byte>((scale & 15) << (g / 8 * 4));
    b[104 + g % 4] |= static_cast<Byte>((scale >> 4) << (g / 4 * 2));
  }
}
void q4_k(const float* x, Byte* b) {
  const Ranges<32> ranges(x, 15, 63, b, b + 2);
  put_scales_mins(ranges, b + 4);
  put_low(ranges.codes, b + 16);
}
void q5_k(const float* x, Byte* b) {
  const Ranges<32> ranges(x, 31, 63, b, b + 2);
  put_scales_mins(ranges, b + 4);
  put_bits(ranges.codes, 4, false, b + 16);
  put_low(ranges.codes, b + 48);
}
void q6_k(const float* x, Byte* b) {
  const Signed groups(x, 32, 128, b + 208);
  for (int i = 0; i < 256; ++i) {
    b[i / 128 * 64 + i % 64] |= static_cast<Byte>((groups.codes[i] & 15) << (i % 128 / 64 * 4));
  }
  put_pairs(groups.codes, 4, b + 128);
  for (int g = 0; g < 16; ++g) b[192 + g] = static_cast<Byte>(groups.scales[g]);
}

using Quantize = void (*)(const float* x, Byte* block);

Quantize quantizer_of(std::string_view name) {
  constexpr std::pair<std::string_view, Quantize> kAll[] = {
      {"Q8_0", q8_0}, {"Q4_0", q4_0},     {"Q4_1", q4_1}, {"Q5_0", q5_0},
      {"Q5_1", q5_1}, {"IQ4_NL", iq4_nl}, {"Q2_K", q2_k}, {"Q3_K", q3_k},
      {"Q4_K", q4_k}, {"Q5_K", q5_k},     {"Q6_K", q6_k}};
  for (const auto& [known, quantize] : kAll) {
    if (known == name) return quantize;
  }
  throw Error(str("no quantiser of ", name));
}

}  // namespace

std::shared_ptr<const ops::WeightRows> quantize_blocks(const Tensor& weight,
                                                       const ops::BlockFormat& format) {
  const std::int64_t blocks = weight.numel() / format.size;
  const std::int64_t row_bytes = weight.dim(1) / format.size * format.bytes;
  Tensor data = zeros({weight.dim(0), row_bytes}, Dtype::kU8);
  const Quantize quantize = quantizer_of(format.name);
  parallel_blocks(blocks, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      quantize(weight.data<float>() + i * format.size, data.data<Byte>() + i * format.bytes);
    }
  });
  return ops::block_rows(data, weight.shape(), format);
}

}  // namespace zimage::bench
