#include "io/image_text.h"

#include <cstdint>

namespace zimage {
namespace {

constexpr char32_t kReplacement = 0xfffd;

struct Character {
  char32_t code;
  std::size_t bytes;
  bool is_valid;
};

// The first character of a text that is not empty; U+FFFD of one byte where it is no UTF-8.
Character first_character(std::string_view text) {
  constexpr Character kInvalid{kReplacement, 1, false};
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true};
  if (first < 0xc2 || first > 0xf4) return kInvalid;
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (text.size() < bytes) return kInvalid;

  char32_t code = first & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0u) != 0x80u) return kInvalid;
    code = (code << 6) | (next & 0x3fu);
  }
  const bool is_overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (is_overlong || is_surrogate || code > 0x10ffff) return kInvalid;
  return {code, bytes, true};
}

void append_utf8(std::string& out, char32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80u | ((code >> shift) & 0x3fu)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0u | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0u | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0u | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const Character character = first_character(text);
    visit(character.code != 0 ? character.code : kReplacement);
    text.remove_prefix(character.bytes);
  }
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = first_character(text);
    if (!character.is_valid) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

void append_xml(std::string& out, char32_t code) {
  const bool is_allowed_control = code == '\t' || code == '\n' || code == '\r';
  switch (code) {
    case '&': out += "&amp;"; return;
    case '<': out += "&lt;"; return;
    case '>': out += "&gt;"; return;
    case '\r': out += "&#13;"; return;  // as it is, XML would read it as a newline
    default: break;
  }
  const bool is_in_xml = (code >= 0x20 || is_allowed_control) && code != 0xfffe && code != 0xffff;
  append_utf8(out, is_in_xml ? code : kReplacement);
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t code) { append_utf8(out, code); });
  return out;
}

std::u16string utf16_of(std::string_view utf8) {
  std::u16string out;
  out.reserve(utf8.size());
  for_each_character(utf8, [&](char32_t code) {
    if (code < 0x10000) {
      out += static_cast<char16_t>(code);
    } else {
      out += static_cast<char16_t>(0xd800 + ((code - 0x10000) >> 10));
      out += static_cast<char16_t>(0xdc00 + ((code - 0x10000) & 0x3ff));
    }
  });
  return out;
}

std::string utf8_of_text_chunk(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  for (const char c : text) append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

std::string xmp_packet(std::string_view json) {
  std::string out =
      "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" xmlns:zimage=\"urn:zimage:1.0#\">"
      "<zimage:record>";
  for_each_character(json, [&](char32_t code) { append_xml(out, code); });
  out +=
      "</zimage:record></rdf:Description></rdf:RDF></x:xmpmeta>\n"
      "<?xpacket end=\"r\"?>";
  return out;
}

}  // namespace zimage
