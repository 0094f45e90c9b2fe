#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// Byte-level BPE read from a Hugging Face tokenizer.json (model BPE; NFC normalizer; Split +
// ByteLevel pre-tokenizer; added tokens). Immutable, so threads may share it.
class Tokenizer {
 public:
  // `dir` holds tokenizer.json. Throws Error naming the file and what is wrong with it.
  static Tokenizer load(const std::filesystem::path& dir);
  static Tokenizer from_json(std::string_view json, const std::string& where);

  // Added tokens inside `text` become their ids, as Hugging Face's encode. Throws Error for invalid
  // UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const;
  // The same, but what looks like an added token is plain text.
  std::vector<std::int32_t> encode_ordinary(std::string_view text) const;
  std::int32_t token_id(std::string_view token) const;  // an added token; throws Error if absent
  // Text of the ids; bytes that are no valid UTF-8 become U+FFFD.
  std::string decode(std::span<const std::int32_t> ids) const;
  std::int32_t vocab_size() const;  // highest id + 1

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

struct PromptIds {
  std::vector<std::int32_t> ids;
  int total = 0;     // tokens before the cut
  std::string lost;  // text of the prompt (in NFC) behind the cut; empty when the cut, if any,
                     // took only the end of the template
};

// One user turn in Qwen3's chat template with the generation prompt (thinking enabled):
// <|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n, cut at the tail to max_tokens.
// Special tokens inside the prompt stay text.
PromptIds encode_prompt(const Tokenizer& tokenizer, std::string_view prompt, int max_tokens);

}  // namespace zimage
