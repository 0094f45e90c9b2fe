#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/split_pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "core/check.h"
#include "io/printable.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

using Code = std::shared_ptr<const pcre2_code>;

PCRE2_SPTR bytes_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

Code compile(std::string_view regex, std::uint32_t options, const std::string& where) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  check(context != nullptr, "out of memory for a regular expression");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(bytes_of(regex), regex.size(), options, &error, &offset, context.get());
  check(code != nullptr, where, ": ", code == nullptr ? message_of(error) : "", " at byte ", offset,
        " of ", printable(regex));
  return {code, [](const pcre2_code* p) { pcre2_code_free(const_cast<pcre2_code*>(p)); }};
}

// Oniguruma and PCRE2 read more than this, but not alike: \h, \w, ^, &&, {,n}, x{n}+ and others.
// The caseless group is the only one because there Oniguruma lets "ss" match U+00DF and the like.
constexpr std::string_view kSupported = R"((?x)
  \A (?: \(\?i:'s\|'t\|'re\|'ve\|'m\|'ll\|'d\)
       | \\ [rntsS] | \\ [pP] \{ [LN] \} | \\ [!-/:-@\[-`{-~]
       | \[ \^? (?: \\ [rntsS] | \\ [pP] \{ [LN] \} | \\ [!-/:-@\[-`{-~]
                  | [A-Za-z0-9'"/_.,:;!?<> ] )+ \]
       | \( (?: \?[:=!] | (?! [?*] ) ) | \) | \|
       | [?*+] [?+]? | \{ [0-9]{1,3} (?: , (?: [0-9]{1,3} )? )? \} (?! [?*+] )
       | [A-Za-z0-9'"/_,:;!<>@%~`= .-]
     )* \z)";

void check_supported(std::string_view regex, const std::string& where) {
  check(regex.size() <= 4096, where, ": ", regex.size(), " bytes, expected at most 4096");
  static const Code supported = compile(kSupported, 0, "tokenizer");
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  check(match != nullptr && pcre2_match(supported.get(), bytes_of(regex), regex.size(), 0, 0,
                                        match.get(), nullptr) > 0,
        where, ": ", printable(regex),
        " has parts outside the supported ones: classes of ASCII "
        "characters, \\s, \\S, \\p{L}, \\p{N}, groups, lookahead, | and quantifiers");
}

struct Range {
  char32_t first, last;
};

// Letters and numbers of Unicode 16, which is Oniguruma's, that PCRE2 10.42 with Unicode 14 does
// not know. Found by comparing both over all code points; \s differs by U+180E only.
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
    {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x1123f, 0x11240},
    {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5},
    {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
    {0x11f02, 0x11f02}, {0x11f04, 0x11f10}, {0x11f12, 0x11f33}, {0x1342f, 0x1342f},
    {0x13441, 0x13446}, {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c},
    {0x18cff, 0x18cff}, {0x1b132, 0x1b132}, {0x1b155, 0x1b155}, {0x1df25, 0x1df2a},
    {0x1e030, 0x1e06d}, {0x1e4d0, 0x1e4eb}, {0x1e5d0, 0x1e5ed}, {0x1e5f0, 0x1e5f0},
    {0x2b739, 0x2b739}, {0x2ebf0, 0x2ee5d}, {0x31350, 0x323af},
};
constexpr Range kNewNumbers[] = {
    {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x11f50, 0x11f59},
    {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9}, {0x1d2c0, 0x1d2d3},
    {0x1e4f0, 0x1e4f9}, {0x1e5f1, 0x1e5fa},
};

template <std::size_t n>
bool contains(const Range (&ranges)[n], char32_t code) {
  const auto* range = std::upper_bound(
      std::begin(ranges), std::end(ranges), code,
      [](char32_t value, const Range& candidate) { return value < candidate.first; });
  return range != std::begin(ranges) && code <= std::prev(range)->last;
}

// A character of the same length that PCRE2 puts where Oniguruma puts this one; "" for itself.
std::string_view stand_in(const Utf8Char& c) {
  if (c.code < 0x180e) return "";
  if (c.code == 0x180e) return "\u200B";
  if (contains(kNewLetters, c.code)) return c.bytes == 3 ? "\u4E00" : "\U00020000";
  if (contains(kNewNumbers, c.code)) return "\U0001D7CE";
  return "";
}

// Overwrites such characters; a supported expression can see nothing of them but their class.
std::string as_seen_by_oniguruma(std::string_view text) {
  std::string seen(text);
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    const std::string_view other = stand_in(c);
    std::copy(other.begin(), other.end(), seen.begin() + static_cast<std::ptrdiff_t>(at));
    at += c.bytes;
  }
  return seen;
}

// Matches at one place of a text. The interpreter, because its match limit counts every step back
// while that of the JIT does not.
class Matcher {
 public:
  Matcher(const pcre2_code* code, std::string_view text, const std::string& where)
      : code_(code),
        text_(text),
        where_(where),
        match_(pcre2_match_data_create(1, nullptr), pcre2_match_data_free),
        context_(pcre2_match_context_create(nullptr), pcre2_match_context_free),
        steps_left_(kSteps + kStepsPerByte * text.size()) {
    check(match_ != nullptr && context_ != nullptr, "out of memory for a regular expression");
    pcre2_set_heap_limit(context_.get(), kHeapKiB);
  }

  // Bytes matched at `at`, 0 for none. What takes few steps is free, so that the time of a text is
  // linear in its length; the rest comes out of a supply that is, too.
  std::size_t length_at(std::size_t at) {
    for (std::uint64_t limit = kFreeSteps;; limit *= 8) {
      pcre2_set_match_limit(context_.get(),
                            static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, 1u << 31)));
      const int result =
          pcre2_match(code_, bytes_of(text_), text_.size(), at, PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK,
                      match_.get(), context_.get());
      if (result == PCRE2_ERROR_NOMATCH) return 0;
      if (result >= 0) return pcre2_get_ovector_pointer(match_.get())[1] - at;
      check(result == PCRE2_ERROR_MATCHLIMIT && limit <= steps_left_, where_,
            ": the regular expression gives up at byte ", at, " of a text of ", text_.size(),
            " bytes: ", message_of(result));
      steps_left_ -= limit;
    }
  }

 private:
  static constexpr std::uint64_t kFreeSteps = 1000;
  static constexpr std::uint64_t kSteps = 10'000'000;
  static constexpr std::uint64_t kStepsPerByte = 64;
  static constexpr std::uint32_t kHeapKiB = 1 << 16;

  const pcre2_code* code_;
  std::string_view text_;
  const std::string& where_;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_;
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context_;
  std::uint64_t steps_left_;
};

}  // namespace

SplitPattern::SplitPattern(const std::string& regex, std::string where) : where_(std::move(where)) {
  check_utf8(regex, where_);
  check_supported(regex, where_);
  code_ = compile(regex, PCRE2_UTF | PCRE2_UCP, where_);
  std::uint32_t matches_empty = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
  check(matches_empty == 0, where_, ": ", printable(regex),
        " can match the empty text, expected at least one character");
}

void SplitPattern::split(std::string_view text,
                         const std::function<void(std::string_view)>& word) const {
  const std::string seen = as_seen_by_oniguruma(text);
  Matcher matcher(code_.get(), seen, where_);
  std::size_t begin = 0;  // of what is between matches
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = matcher.length_at(at);
    if (length == 0) {
      at += char_at(text, at).bytes;
      continue;
    }
    if (begin < at) word(text.substr(begin, at - begin));
    word(text.substr(at, length));
    begin = at += length;
  }
  if (begin < text.size()) word(text.substr(begin));
}

}  // namespace zimage
