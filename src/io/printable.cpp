#include "io/printable.h"

#include "core/check.h"

namespace zimage {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0u) == 0x80u; }

// Bytes of the character that starts `text`, 0 when it must not be shown as it is.
std::size_t showable_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  const bool is_c1_control = first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
  return is_c1_control ? 0 : length;
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string line;
  while (!text.empty()) {
    const std::size_t length = showable_length(text);
    if (length > 0) {
      line += text.substr(0, length);
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      line += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    text.remove_prefix(length > 0 ? length : 1);
  }
  return line;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return escaped(text);
  std::size_t head = max_bytes * 3 / 4, tail = text.size() - max_bytes / 4;
  while (head > 0 && is_continuation(text[head])) --head;
  while (tail < text.size() && is_continuation(text[tail])) ++tail;
  return str(escaped(text.substr(0, head)), "...", escaped(text.substr(tail)), " (", text.size(),
             " bytes)");
}

}  // namespace zimage
