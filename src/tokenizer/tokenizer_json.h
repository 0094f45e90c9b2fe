#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zimage {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool lstrip = false;      // takes the spaces before it
  bool rstrip = false;      // takes the spaces behind it
  bool normalized = false;  // is looked for in the normalized text
};

// What a tokenizer.json says, as far as it varies among those that are supported.
struct TokenizerFile {
  std::vector<std::string> vocab;                           // by id, in the byte alphabet
  std::vector<std::pair<std::string, std::string>> merges;  // first to last
  std::vector<AddedToken> added_tokens;  // in `vocab`, or with the ids behind it in order
  std::string split_regex;
  bool uses_nfc = false;
  bool ignore_merges = false;
};

// Throws Error, with `where` in front, for broken JSON and for settings that would give other ids
// than this library computes.
TokenizerFile parse_tokenizer_json(std::string_view json, const std::string& where);

}  // namespace zimage
