#include "io/json_sax.h"

#include <algorithm>

namespace zimage {
namespace {

constexpr std::size_t kMaxNumberBytes = 1000;
constexpr std::size_t kMaxLineBreaks = std::size_t{1} << 20;

// The position behind the string that starts at `begin`.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  return text.size();
}

}  // namespace

void check_json_text(std::string_view text, const std::string& where) {
  const std::size_t nul = text.find('\0');
  check(nul == text.npos, where, ": is no valid JSON: a NUL character at byte ", nul);

  // The parser keeps all it read since the last string or number for its messages, in which each
  // control character takes 8 bytes.
  std::size_t line_breaks = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      line_breaks = 0;
    } else if (text[i] >= '0' && text[i] <= '9') {
      const std::size_t end = std::min(text.find_first_not_of("0123456789", i), text.size());
      check(end - i <= kMaxNumberBytes, where, ": is no valid JSON: a number of ", end - i,
            " digits at byte ", i);
      i = end;
      line_breaks = 0;
    } else {
      if (static_cast<unsigned char>(text[i]) < 0x20) ++line_breaks;
      check(line_breaks <= kMaxLineBreaks, where, ": has more than ", kMaxLineBreaks,
            " line breaks between two values");
      ++i;
    }
  }
}

}  // namespace zimage
