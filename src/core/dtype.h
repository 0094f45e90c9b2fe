#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string_view>

namespace zimage {

// Element types of stored tensors, by their safetensors names. Compute runs on kF32 and kBf16 only.
enum class Dtype : std::uint8_t {
  kF32,
  kBf16,
  kF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
};

std::size_t size_of(Dtype dtype);       // bytes of one element
std::string_view name_of(Dtype dtype);  // "F32", "BF16", ... as in safetensors headers
std::optional<Dtype> dtype_from(std::string_view name);  // exact upper-case names
std::ostream& operator<<(std::ostream& out, Dtype dtype);

// Round to nearest, ties to even, as torch and the vcvtneps2bf16 instruction; NaN stays a quiet
// NaN.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  explicit bf16(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<std::uint16_t>((u >> 16) | 0x40u);
    } else {
      bits = static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};
static_assert(sizeof(bf16) == 2);

inline constexpr float kBf16Epsilon = 1.0f / 256;  // half a unit in the last place, relative

float f16_to_float(std::uint16_t bits);  // IEEE half, subnormals included

template <class T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
  static constexpr Dtype value = Dtype::kF32;
};
template <>
struct DtypeOf<bf16> {
  static constexpr Dtype value = Dtype::kBf16;
};
template <>
struct DtypeOf<std::int32_t> {
  static constexpr Dtype value = Dtype::kI32;
};
template <>
struct DtypeOf<std::uint8_t> {
  static constexpr Dtype value = Dtype::kU8;
};

}  // namespace zimage
