#include "tokenizer/tokenizer_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/check.h"
#include "io/printable.h"
#include "tokenizer/model_reader.h"

namespace zimage {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAddedTokenBytes = 1024;
constexpr std::size_t kMaxAddedBytes = std::size_t{1} << 20;  // of all; each costs forty in memory

std::string shown(const Json& value) {
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// Null when absent.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  const auto it = object.find(key);
  return it == object.end() ? null : *it;
}

// The parser takes a NUL for the end of the text and would not see what follows.
Json parse(std::string_view text, ModelReader& reader, const std::string& where) {
  const std::size_t nul = text.find('\0');
  check(nul == text.npos, where, ": is no valid JSON: a NUL character at byte ", nul);
  try {
    return Json::parse(text.begin(), text.end(), std::ref(reader));
  } catch (const Json::exception& error) {
    std::string_view message = error.what();  // "[json.exception.parse_error.101] parse error at"
    if (const auto end = message.find("] "); end != message.npos) message.remove_prefix(end + 2);
    throw Error(str(where, ": is no valid JSON: ", printable(message, 300)));
  }
}

bool flag(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key);
  check(value.is_null() || value.is_boolean(), place, ": ", key, " is ", shown(value),
        ", expected true or false");
  return value.is_boolean() && value.get<bool>();
}

void check_type(const Json& value, std::string_view type, const std::string& place) {
  check(value.is_object() && member(value, "type") == type, place, " is ", shown(value),
        ", expected one of type ", type);
}

// Settings that change the ids. Every byte has a token of its own (Bpe checks that), so nothing is
// unknown and byte_fallback, unk_token and fuse_unk have no effect.
void check_model(const Json& model, const std::string& where) {
  check(model.is_object(), where, ": model is ", shown(model), ", expected an object");
  check(member(model, "type") == "BPE", where, ": model.type is ", shown(member(model, "type")),
        ", expected \"BPE\"");
  const Json& dropout = member(model, "dropout");
  check(dropout.is_null() || dropout == 0, where, ": model.dropout is ", shown(dropout),
        ", expected null");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& affix = member(model, key);
    check(affix.is_null() || affix == "", where, ": model.", key, " is ", shown(affix),
          ", expected none");
  }
}

bool read_normalizer(const Json& normalizer, const std::string& where) {
  if (normalizer.is_null()) return false;
  check_type(normalizer, "NFC", where + ": normalizer");
  return true;
}

void check_byte_level(const Json& value, const std::string& place) {
  check_type(value, "ByteLevel", place);
  for (const char* key : {"add_prefix_space", "use_regex"}) {
    const Json& setting = member(value, key);  // absent means true
    check(setting.is_boolean() && !setting.get<bool>(), place, ": ", key, " is ",
          setting.is_null() ? "absent" : shown(setting), ", expected false");
  }
}

std::string read_split_regex(const Json& pre_tokenizer, const std::string& where) {
  const std::string place = where + ": pre_tokenizer";
  check_type(pre_tokenizer, "Sequence", place);
  const Json& steps = member(pre_tokenizer, "pretokenizers");
  check(steps.is_array() && steps.size() == 2, place, ".pretokenizers is ", shown(steps),
        ", expected Split and ByteLevel");
  const Json& split = steps[0];
  check_type(split, "Split", place + ".pretokenizers[0]");
  check_byte_level(steps[1], place + ".pretokenizers[1]");
  check(member(split, "behavior") == "Isolated", place, ".pretokenizers[0].behavior is ",
        shown(member(split, "behavior")), ", expected \"Isolated\"");
  check(!flag(split, "invert", place + ".pretokenizers[0]"), place,
        ".pretokenizers[0].invert is true, expected false");
  const Json& pattern = member(split, "pattern");
  const Json& regex = pattern.is_object() ? member(pattern, "Regex") : pattern;
  check(pattern.is_object() && regex.is_string(), place, ".pretokenizers[0].pattern is ",
        shown(pattern), ", expected {\"Regex\": \"...\"}");
  return regex.get<std::string>();
}

std::vector<std::string> vocab_by_id(std::vector<std::pair<std::string, std::int32_t>>&& entries,
                                     const std::string& where) {
  check(!entries.empty(), where, ": model.vocab is missing or empty, expected tokens and ids");
  std::vector<std::string> vocab(entries.size());
  for (auto& [token, id] : entries) {
    if (token.empty()) throw Error(str(where, ": model.vocab: id ", id, " is of an empty token"));
    if (static_cast<std::size_t>(id) >= vocab.size()) {
      throw Error(str(where, ": model.vocab: the id of \"", printable(token), "\" is ", id,
                      ", expected 0 to ", vocab.size() - 1, " without gaps for ", vocab.size(),
                      " tokens"));
    }
    std::string& slot = vocab[static_cast<std::size_t>(id)];
    if (!slot.empty()) {
      throw Error(str(where, ": model.vocab: id ", id, " is of \"", printable(slot), "\" and of \"",
                      printable(token), "\""));
    }
    slot = std::move(token);
  }
  return vocab;
}

AddedToken read_added_token(const Json& json, const std::string& place) {
  check(json.is_object(), place, " is ", shown(json), ", expected an object");
  const Json& content = member(json, "content");
  check(content.is_string() && content != "", place, ".content is ", shown(content),
        ", expected a text that is not empty");
  const Json& id = member(json, "id");
  const bool is_id = id.is_number_integer() && id >= 0 && id <= INT32_MAX;
  check(is_id, place, ".id is ", shown(id), ", expected 0 to 2147483647");
  check(!flag(json, "single_word", place), place, ": single_word is true, which is not supported");
  AddedToken token{.content = content.get<std::string>(),
                   .id = id.get<std::int32_t>(),
                   .lstrip = flag(json, "lstrip", place),
                   .rstrip = flag(json, "rstrip", place),
                   .normalized = flag(json, "normalized", place)};
  check(token.content.size() <= kMaxAddedTokenBytes, place, ".content has ", token.content.size(),
        " bytes, expected at most ", kMaxAddedTokenBytes);
  return token;
}

// Hugging Face numbers the tokens in order, whatever the file says: those outside of the vocabulary
// get the ids behind it.
void check_ids(const std::vector<AddedToken>& tokens, const std::vector<std::string>& vocab,
               const std::string& where) {
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto [earlier, is_new] = places.emplace(tokens[i].content, i);
    check(is_new, where, ": added_tokens[", i, "]: \"", printable(tokens[i].content),
          "\" is also added_tokens[", earlier->second, "]");
  }
  std::vector<std::size_t> expected(tokens.size(), vocab.size());  // for now: not in the vocabulary
  for (std::size_t id = 0; id < vocab.size(); ++id) {
    if (const auto it = places.find(vocab[id]); it != places.end()) expected[it->second] = id;
  }
  std::size_t next_id = vocab.size();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_in_vocab = expected[i] < vocab.size();
    if (!is_in_vocab) expected[i] = next_id++;
    check(static_cast<std::size_t>(tokens[i].id) == expected[i], where, ": added_tokens[", i,
          "]: the id of \"", printable(tokens[i].content), "\" is ", tokens[i].id, ", expected ",
          expected[i], is_in_vocab ? " as in model.vocab" : ", the next without a gap");
  }
}

std::vector<AddedToken> read_added_tokens(const Json& json, const std::string& where) {
  std::vector<AddedToken> tokens;
  if (json.is_null()) return tokens;
  check(json.is_array(), where, ": added_tokens is ", shown(json), ", expected an array");
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    tokens.push_back(read_added_token(json[i], str(where, ": added_tokens[", i, "]")));
    bytes += tokens.back().content.size();
    check(bytes <= kMaxAddedBytes, where, ": added_tokens have more than ", kMaxAddedBytes,
          " bytes of content");
  }
  return tokens;
}

// Steps after the merges must leave ids as they are: ByteLevel only moves offsets, and transformers
// saves a template of the text alone where a model adds no tokens around it.
void check_post_processor(const Json& step, const std::string& where) {
  if (step.is_null()) return;
  const Json& type = member(step, "type");
  if (type == "TemplateProcessing") {
    const Json& single = member(step, "single");
    check(single.is_array() && single.size() == 1 && single[0].is_object() &&
              single[0].contains("Sequence"),
          where, ": adds tokens around the text, which is not supported");
    return;
  }
  check_type(step, "ByteLevel", where);
}

}  // namespace

TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& where) {
  ModelReader reader(where);
  const Json json = parse(text, reader, where);
  check(json.is_object(), where, " is ", shown(json), ", expected an object");
  check(!member(json, "model").is_null(), where, ": model is missing");
  check_model(json["model"], where);

  // `truncation` and `padding` may hold what was set when the file was saved; they are an affair of
  // whoever calls, as in transformers.
  check_post_processor(member(json, "post_processor"), where + ": post_processor");
  check_type(member(json, "decoder"), "ByteLevel", where + ": decoder");

  TokenizerFile file;
  file.uses_nfc = read_normalizer(member(json, "normalizer"), where);
  file.split_regex = read_split_regex(member(json, "pre_tokenizer"), where);
  file.ignore_merges = flag(json["model"], "ignore_merges", where + ": model");
  file.vocab = vocab_by_id(std::move(reader.vocab), where);
  file.added_tokens = read_added_tokens(member(json, "added_tokens"), where);
  check_ids(file.added_tokens, file.vocab, where);
  file.merges = std::move(reader.merges);
  return file;
}

}  // namespace zimage
