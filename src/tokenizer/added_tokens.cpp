#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "core/check.h"
#include "io/printable.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return static_cast<std::uint64_t>(node) << 8 | static_cast<std::uint8_t>(byte);
}

// White_Space of Unicode, unchanged since 6.3.
bool is_space(char32_t c) {
  return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Char c = char_at(text, at);
    if (!is_space(c.code)) break;
    at += c.bytes;
  }
  return at;
}

// Where the spaces before `end` begin, not before `begin`.
std::size_t skip_spaces_back(std::string_view text, std::size_t begin, std::size_t end) {
  while (end > begin) {
    std::size_t at = end - 1;
    while (at > begin && (static_cast<std::uint8_t>(text[at]) & 0xc0) == 0x80) --at;
    if (!is_space(char_at(text, at).code)) break;
    end = at;
  }
  return end;
}

}  // namespace

void AddedTokens::add(const AddedToken& token, const std::string& pattern,
                      const std::string& where) {
  std::uint32_t node = 0;
  for (const char byte : pattern) {
    const auto [it, is_new] =
        edges_.emplace(edge(node, byte), static_cast<std::uint32_t>(token_at_.size()));
    if (is_new) token_at_.push_back(-1);
    node = it->second;
  }
  const int other = token_at_[node];
  check(other < 0, where, ": added tokens ", other < 0 ? 0 : tokens_[other].id, " and ", token.id,
        " are both \"", printable(pattern), "\" when normalized");
  token_at_[node] = static_cast<int>(tokens_.size());
  tokens_.push_back(token);
}

AddedTokens::Match AddedTokens::match_at(std::string_view text, std::size_t at) const {
  Match longest;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto it = edges_.find(edge(node, text[i]));
    if (it == edges_.end()) break;
    node = it->second;
    if (token_at_[node] >= 0) longest = {token_at_[node], i + 1 - at};
  }
  return longest;
}

void AddedTokens::split(std::string_view text,
                        const std::function<void(std::string_view)>& ordinary,
                        const std::function<void(std::int32_t)>& added) const {
  std::size_t done = 0;
  std::size_t spaces_begin = 0, spaces_end = 0;  // the last run skipped, never read again
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const Match match = match_at(text, at);
    if (match.token < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match.token];
    std::size_t begin = at, end = at + match.bytes;
    at = end;  // spaces taken along may be part of the next token all the same
    if (token.lstrip) begin = std::max(skip_spaces_back(text, done, begin), done);
    if (token.rstrip) {
      if (end < spaces_begin || end > spaces_end) {
        spaces_begin = end;
        spaces_end = skip_spaces(text, end);
      }
      end = spaces_end;
    }
    if (done < begin) ordinary(text.substr(done, begin - done));
    added(token.id);
    done = end;
  }
  if (done < text.size()) ordinary(text.substr(done));
}

}  // namespace zimage
