#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer_json.h"

namespace zimage {

// Byte pair encoding of one word after the other.
class Bpe {
 public:
  // Throws Error, with `where` in front, for a merge whose tokens the vocabulary does not have and
  // for a byte without a token.
  Bpe(const TokenizerFile& file, const std::string& where);

  // Appends the ids of `word`, which has less than 2^31 bytes, in n log n time.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Merge {
    std::int32_t rank;  // the lowest goes first
    std::int32_t id;    // of both together
  };
  struct Slot {
    std::uint64_t pair = 0;
    Merge merge{-1, -1};  // rank -1: free
  };

  void reserve_merges(std::size_t n);
  void add(std::int32_t left, std::int32_t right, const Merge& merge);
  std::size_t slot_of(std::uint64_t pair) const;  // the one that has it, or the free one to put it
  const Merge* find(std::int32_t left, std::int32_t right) const;
  void merge(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::vector<std::int32_t> byte_ids_;  // [256]
  std::vector<Slot> merges_;            // open addressing, a power of two, at most half full
  std::unordered_map<std::string, std::int32_t> whole_words_;  // with ignore_merges: taken as such
};

}  // namespace zimage
