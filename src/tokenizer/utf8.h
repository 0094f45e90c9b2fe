#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zimage {

struct Utf8Char {
  char32_t code = 0;
  std::size_t bytes = 1;  // of an invalid one: what Unicode replaces by a single U+FFFD
  bool is_valid = false;
};

// The character at `at`, which lies inside `text`. Overlong forms, surrogates and codes beyond
// U+10FFFF are invalid.
Utf8Char char_at(std::string_view text, std::size_t at);

void append_utf8(char32_t code, std::string& text);

// Throws Error naming the first byte that is no UTF-8; `what` names the text.
void check_utf8(std::string_view text, std::string_view what);

// Bytes that are no UTF-8 become U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace zimage
