#include "tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/check.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

struct Range {
  char32_t first, last;
};

// Characters newer than Unicode 9 that reorder or compose in later versions (up to 18, as far as
// their combining classes are known), and whole blocks where all are newer. Found by comparing,
// over all code points, classes and compositions of tokenizers 0.23 with those of utf8proc 2.8.
constexpr Range kInert[] = {
    {0x5c8, 0x5c9},     {0x7fd, 0x7fd},     {0x897, 0x89f},     {0x8ca, 0x8d3},
    {0x9fe, 0x9fe},     {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},
    {0x1715, 0x1715},   {0x1abf, 0x1af0},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},
    {0x105c0, 0x105ff}, {0x10d24, 0x10d27}, {0x10d69, 0x10d6d}, {0x10eab, 0x10eac},
    {0x10ecb, 0x10ecf}, {0x10ef0, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x11380, 0x113ff}, {0x1145e, 0x1145e},
    {0x11839, 0x1183a}, {0x11930, 0x11930}, {0x1193d, 0x1193e}, {0x11943, 0x11943},
    {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99},
    {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42},
    {0x16100, 0x1613f}, {0x16d40, 0x16d7f}, {0x16ff0, 0x16ff1}, {0x1d127, 0x1d128},
    {0x1d250, 0x1d252}, {0x1d25b, 0x1d25c}, {0x1d25f, 0x1d25f}, {0x1d280, 0x1d281},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef}, {0x1e5ee, 0x1e5ef}, {0x1e6e3, 0x1e6e3}, {0x1e6e6, 0x1e6e6},
    {0x1e6ee, 0x1e6ef}, {0x1e6f5, 0x1e6f5},
};

bool is_inert(char32_t code) {
  const auto* range = std::upper_bound(
      std::begin(kInert), std::end(kInert), code,
      [](char32_t value, const Range& candidate) { return value < candidate.first; });
  return range != std::begin(kInert) && code <= std::prev(range)->last;
}

int combining_class(std::int32_t code) { return utf8proc_get_property(code)->combining_class; }

void append_decomposed(char32_t code, std::vector<std::int32_t>& codes) {
  std::int32_t parts[4];  // the longest canonical decomposition
  int last_boundary_class = 0;
  const auto n = utf8proc_decompose_char(static_cast<std::int32_t>(code), parts, std::size(parts),
                                         UTF8PROC_DECOMPOSE, &last_boundary_class);
  check(n >= 0 && n <= static_cast<int>(std::size(parts)),
        "utf8proc: ", n < 0 ? utf8proc_errmsg(n) : "a decomposition of more than 4 characters");
  codes.insert(codes.end(), parts, parts + n);
}

// utf8proc's own order of combining marks takes quadratic time for long runs of them.
void order_marks(std::vector<std::int32_t>& codes) {
  for (auto begin = codes.begin(); begin != codes.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, codes.end(),
                                  [](std::int32_t code) { return combining_class(code) == 0; });
    std::stable_sort(begin, end, [](std::int32_t a, std::int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

void append_composed(std::vector<std::int32_t>& codes, std::string& text) {
  order_marks(codes);
  const auto n =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  check(n >= 0, "utf8proc: ", n < 0 ? utf8proc_errmsg(n) : "");
  for (utf8proc_ssize_t i = 0; i < n; ++i) append_utf8(static_cast<char32_t>(codes[i]), text);
  codes.clear();
}

}  // namespace

std::string nfc(std::string_view text) {
  // Nothing below U+0300, which is encoded CC 80, changes.
  if (std::all_of(text.begin(), text.end(), [](char c) { return std::uint8_t(c) < 0xcc; })) {
    return std::string(text);
  }
  std::string normalized;
  normalized.reserve(text.size());
  std::vector<std::int32_t> codes;  // decomposed, since the last inert character
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    if (is_inert(c.code)) {
      append_composed(codes, normalized);
      normalized += text.substr(at, c.bytes);
    } else {
      append_decomposed(c.code, codes);
    }
    at += c.bytes;
  }
  append_composed(codes, normalized);
  return normalized;
}

}  // namespace zimage
