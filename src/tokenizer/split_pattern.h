#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;

namespace zimage {

// The regular expression of a pre-tokenizer: its matches, and what lies between them, are the
// words. Accepts what means the same to PCRE2 as to Oniguruma, which Hugging Face tokenizers use.
class SplitPattern {
 public:
  // Throws Error, with `where` in front, for an expression outside of that.
  SplitPattern(const std::string& regex, std::string where);

  // Calls `word` with every word of `text` (valid UTF-8) in order. Throws Error when the expression
  // backtracks without end.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  std::shared_ptr<const pcre2_real_code_8> code_;
  std::string where_;
};

}  // namespace zimage
