#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "core/check.h"
#include "io/file.h"
#include "io/printable.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/nfc.h"
#include "tokenizer/split_pattern.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{32} << 20;   // Qwen3: 11 MiB
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;  // NFC at most triples it

using Ids = std::vector<std::int32_t>;

void check_text(std::string_view text) {
  check(text.size() <= kMaxTextBytes, "text: ", text.size(), " bytes, expected at most ",
        kMaxTextBytes);
  check_utf8(text, "text");
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const TokenizerFile& file, const std::string& name)
      : where(name),
        uses_nfc(file.uses_nfc),
        pattern(file.split_regex, name + ": pre_tokenizer"),
        bpe(file, name) {
    for (const std::string& token : file.vocab) {
      bytes_by_id.push_back(bytes_of_token(token).value_or(token));
    }
    for (const AddedToken& token : file.added_tokens) {
      const auto id = static_cast<std::size_t>(token.id);
      if (id == bytes_by_id.size()) bytes_by_id.push_back(token.content);
      added_ids.emplace(token.content, token.id);
      if (token.normalized) {
        normalized_tokens.add(token, normalized(token.content), name);
      } else {
        raw_tokens.add(token, token.content, name);
      }
    }
  }

  std::string normalized(std::string_view text) const {
    return uses_nfc ? nfc(text) : std::string(text);
  }

  void append_words(std::string_view text, Ids& ids) const {
    pattern.split(text, [&](std::string_view word) { bpe.encode(word, ids); });
  }

  Ids encode(std::string_view text) const {
    Ids ids;
    const auto add = [&](std::int32_t id) { ids.push_back(id); };
    const auto encode_words = [&](std::string_view part) { append_words(part, ids); };
    const auto encode_part = [&](std::string_view part) {
      normalized_tokens.split(normalized(part), encode_words, add);
    };
    raw_tokens.split(text, encode_part, add);
    return ids;
  }

  std::string where;
  bool uses_nfc;
  SplitPattern pattern;
  Bpe bpe;
  std::vector<std::string> bytes_by_id;
  std::unordered_map<std::string, std::int32_t> added_ids;
  AddedTokens raw_tokens;         // looked for in the text as it is
  AddedTokens normalized_tokens;  // in the normalized text between those
};

Tokenizer Tokenizer::load(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "tokenizer.json";
  const std::vector<std::byte> bytes = read_file(path, kMaxFileBytes);
  return from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& where) {
  return Tokenizer(std::make_shared<const Impl>(parse_tokenizer_json(json, where), where));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  check_text(text);
  return impl_->encode(text);
}

std::vector<std::int32_t> Tokenizer::encode_ordinary(std::string_view text) const {
  check_text(text);
  Ids ids;
  impl_->append_words(impl_->normalized(text), ids);
  return ids;
}

std::int32_t Tokenizer::token_id(std::string_view token) const {
  const auto it = impl_->added_ids.find(std::string(token));
  check(it != impl_->added_ids.end(), impl_->where, ": added_tokens have no \"", printable(token),
        "\"");
  return it->second;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    check(id >= 0 && id < vocab_size(), impl_->where, ": token id ", id, ", expected 0 to ",
          vocab_size() - 1);
    bytes += impl_->bytes_by_id[static_cast<std::size_t>(id)];
  }
  return to_valid_utf8(bytes);
}

std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(impl_->bytes_by_id.size());
}

}  // namespace zimage
