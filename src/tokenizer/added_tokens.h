#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer_json.h"

namespace zimage {

// Finds added tokens in a text: leftmost first, at one place the longest.
class AddedTokens {
 public:
  // `pattern` of a token is what to look for. Two with the same are an Error.
  void add(const AddedToken& token, const std::string& pattern, const std::string& where);

  // Calls `ordinary` with the text between tokens and `added` with their ids, in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& ordinary,
             const std::function<void(std::int32_t)>& added) const;

 private:
  struct Match {
    int token = -1;  // -1: none
    std::size_t bytes = 0;
  };

  Match match_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  std::vector<int> token_at_{
      -1};  // by node of the tree of patterns: index of the one that ends there
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;  // node << 8 | byte to node
};

}  // namespace zimage
