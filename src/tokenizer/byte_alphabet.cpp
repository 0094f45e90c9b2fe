#include "tokenizer/byte_alphabet.h"

#include <array>

#include "tokenizer/utf8.h"

namespace zimage {
namespace {

constexpr int kFirstShifted = 0x100;
constexpr int kShifted = 68;  // bytes that are not printable

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

constexpr std::array<std::uint8_t, kShifted> shifted_bytes() {
  std::array<std::uint8_t, kShifted> bytes{};
  int n = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (!is_printable(byte)) bytes[n++] = static_cast<std::uint8_t>(byte);
  }
  return bytes;
}

constexpr std::array<std::uint8_t, kShifted> kShiftedBytes = shifted_bytes();

}  // namespace

std::string char_of_byte(std::uint8_t byte) {
  char32_t code = byte;
  for (int i = 0; i < kShifted; ++i) {
    if (kShiftedBytes[i] == byte) code = kFirstShifted + i;
  }
  std::string text;
  append_utf8(code, text);
  return text;
}

std::optional<std::string> bytes_of_token(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Char c = char_at(token, at);
    at += c.bytes;
    if (!c.is_valid || c.code >= kFirstShifted + kShifted) return std::nullopt;
    if (c.code >= kFirstShifted) {
      bytes += static_cast<char>(kShiftedBytes[c.code - kFirstShifted]);
    } else if (is_printable(static_cast<int>(c.code))) {
      bytes += static_cast<char>(c.code);
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

}  // namespace zimage
