#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/check.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace {

// Bytes, a few merges and added tokens with every flag.
std::string sound_json() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string token = zimage::char_of_byte(static_cast<std::uint8_t>(byte));
    vocab += zimage::str("\"", token == "\"" || token == "\\" ? "\\" : "", token, "\":", byte, ",");
  }
  return R"({"added_tokens": [
    {"id": 260, "content": "<|im_start|>"}, {"id": 261, "content": "<|im_end|>"},
    {"id": 262, "content": "<l>", "lstrip": true}, {"id": 263, "content": "<r>", "rstrip": true},
    {"id": 264, "content": " <", "normalized": true},
    {"id": 265, "content": "éa", "normalized": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|)"
         R"( ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {)" +
         vocab + R"("aa": 256, "aaaa": 257, "ab": 258, "ĠĠ": 259},
      "merges": ["a a", "aa aa", ["a", "b"], ["Ġ", "Ġ"]]}})";
}

void encode(const zimage::Tokenizer& tokenizer, std::string_view text) {
  try {
    tokenizer.decode(tokenizer.encode(text));
    // Every byte has a token, so the ids of a text hold all of it.
    const std::string normalized = tokenizer.decode(tokenizer.encode_ordinary(text));
    if (tokenizer.decode(tokenizer.encode_ordinary(normalized)) != normalized) std::abort();
    const zimage::PromptIds prompt = zimage::encode_prompt(tokenizer, text, 16);
    if (prompt.ids.size() > 16 || !normalized.ends_with(prompt.lost)) std::abort();
  } catch (const zimage::Error&) {
  }
}

}  // namespace

// A tokenizer.json, a NUL and a prompt; what does not begin with "{" is a prompt alone.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const zimage::Tokenizer sound = zimage::Tokenizer::from_json(sound_json(), "sound.json");
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.starts_with('{')) {
    encode(sound, input);
    return 0;
  }
  const std::size_t nul = input.find('\0');
  try {
    const std::string_view prompt = nul == input.npos ? "" : input.substr(nul + 1);
    encode(zimage::Tokenizer::from_json(input.substr(0, nul), "fuzz.json"), prompt);
  } catch (const zimage::Error&) {
  }
  return 0;
}
