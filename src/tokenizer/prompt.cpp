#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "core/check.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::string_view kRole = "user\n";

void append(const Ids& part, Ids& ids) { ids.insert(ids.end(), part.begin(), part.end()); }

// What decode(turn) has behind its first `kept` tokens and behind the role. A character of which
// the cut leaves a part is lost whole.
std::string lost_text(const Tokenizer& tokenizer, const Ids& turn, std::size_t kept) {
  if (kept >= turn.size()) return "";
  const std::string text = tokenizer.decode(turn);
  std::string begin = tokenizer.decode(std::span(turn).first(kept));
  while (!text.starts_with(begin)) begin = tokenizer.decode(std::span(turn).first(--kept));
  return text.substr(std::max(begin.size(), kRole.size()));
}

}  // namespace

PromptIds encode_prompt(const Tokenizer& tokenizer, std::string_view prompt, int max_tokens) {
  check(max_tokens > 0, "prompt: max_tokens is ", max_tokens, ", expected at least 1");
  check_utf8(prompt, "prompt");
  const std::int32_t im_start = tokenizer.token_id("<|im_start|>");
  const std::int32_t im_end = tokenizer.token_id("<|im_end|>");
  // The role and the prompt are one text: line breaks at the start of the prompt join the role's.
  const Ids turn = tokenizer.encode_ordinary(std::string(kRole).append(prompt));

  PromptIds result;
  result.ids = {im_start};
  append(turn, result.ids);
  result.ids.push_back(im_end);
  append(tokenizer.encode_ordinary("\n"), result.ids);
  result.ids.push_back(im_start);
  append(tokenizer.encode_ordinary("assistant\n"), result.ids);

  check(result.ids.size() <= std::numeric_limits<int>::max(),
        "prompt: more tokens than fit an int");
  result.total = static_cast<int>(result.ids.size());
  const auto limit = static_cast<std::size_t>(max_tokens);
  result.lost = lost_text(tokenizer, turn, limit - 1);
  if (result.ids.size() > limit) result.ids.resize(limit);
  return result;
}

}  // namespace zimage
