#include "tokenizer/utf8.h"

#include <algorithm>
#include <cstdint>

#include "core/check.h"

namespace zimage {
namespace {

struct Lead {
  std::size_t bytes;  // of the whole character, 0 for a byte that starts none
  std::uint8_t low;   // range of the second byte, which is what keeps overlong forms,
  std::uint8_t high;  // surrogates and codes beyond U+10FFFF out
};

// Table 3-7 of the Unicode standard.
Lead lead_of(std::uint8_t byte) {
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

Utf8Char char_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  if (byte(at) < 0x80) return {byte(at), 1, true};
  const Lead lead = lead_of(byte(at));
  if (lead.bytes == 0) return {};

  char32_t code = byte(at) & (0xffu >> (lead.bytes + 1));
  for (std::size_t i = 1; i < lead.bytes; ++i) {
    const std::uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xbf;
    if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {0, i, false};
    code = code << 6 | (byte(at + i) & 0x3fu);
  }
  return {code, lead.bytes, true};
}

void append_utf8(char32_t code, std::string& text) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text.append({static_cast<char>(0xc0 | code >> 6), tail(0)});
  } else if (code < 0x10000) {
    text.append({static_cast<char>(0xe0 | code >> 12), tail(6), tail(0)});
  } else {
    text.append({static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0)});
  }
}

void check_utf8(std::string_view text, std::string_view what) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    check(c.is_valid, what, ": byte ", at, " is no valid UTF-8");
    at += c.bytes;
  }
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Char c = char_at(bytes, at);
    text += c.is_valid ? bytes.substr(at, c.bytes) : "\uFFFD";
    at += c.bytes;
  }
  return text;
}

}  // namespace zimage
