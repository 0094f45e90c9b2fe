// What the hub and the Python client write as JSON, read with limits.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/check.h"

namespace zimage::hub {

// Throws nlohmann's exception for what is no JSON, Error for what is nested more deeply than any
// answer of the hub.
inline nlohmann::json parse_json(std::string_view text) {
  static constexpr int kMaxDepth = 16;
  return nlohmann::json::parse(text, [](int depth, auto, const auto&) {
    check(depth <= kMaxDepth, "JSON nested more than ", kMaxDepth, " deep");
    return true;
  });
}

// The size in bytes of the file that `where` names.
inline std::uint64_t size_in(const nlohmann::json& value, const std::string& where) {
  constexpr std::uint64_t kMax = std::uint64_t{1} << 42;  // 4 TiB
  check(value.is_number_unsigned() && value.get<std::uint64_t>() <= kMax, where, ": the size is ",
        value.dump(), ", expected a number of bytes up to ", kMax);
  return value.get<std::uint64_t>();
}

}  // namespace zimage::hub
