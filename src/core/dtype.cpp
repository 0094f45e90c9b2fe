#include "core/dtype.h"

#include <array>
#include <ostream>

namespace zimage {
namespace {

struct DtypeInfo {
  std::string_view name;
  std::size_t bytes;
};

// In the order of the enumerators.
constexpr std::array<DtypeInfo, 15> kDtypes{{{"F32", 4},
                                             {"BF16", 2},
                                             {"F16", 2},
                                             {"F64", 8},
                                             {"I64", 8},
                                             {"I32", 4},
                                             {"I16", 2},
                                             {"I8", 1},
                                             {"U64", 8},
                                             {"U32", 4},
                                             {"U16", 2},
                                             {"U8", 1},
                                             {"BOOL", 1},
                                             {"F8_E4M3", 1},
                                             {"F8_E5M2", 1}}};

const DtypeInfo& info_of(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_of(Dtype dtype) { return info_of(dtype).bytes; }

std::string_view name_of(Dtype dtype) { return info_of(dtype).name; }

std::optional<Dtype> dtype_from(std::string_view name) {
  for (std::size_t i = 0; i < kDtypes.size(); ++i) {
    if (kDtypes[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

std::ostream& operator<<(std::ostream& out, Dtype dtype) { return out << name_of(dtype); }

float f16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

}  // namespace zimage
