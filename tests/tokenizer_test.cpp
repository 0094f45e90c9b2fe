#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/file.h"
#include "testing.h"
#include "tokenizer/utf8.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using Json = nlohmann::json;
using Ids = std::vector<std::int32_t>;

std::string read_text(const std::filesystem::path& path) {
  const auto bytes = read_file(path, std::size_t{64} << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const Tokenizer& qwen3() {
  static const Tokenizer tokenizer = Tokenizer::load(ZIMAGE_QWEN3_TOKENIZER);
  return tokenizer;
}

const Json& golden() {
  static const Json json = Json::parse(read_text(test_data("tokenizer/golden.json")));
  return json;
}

// A tokenizer.json with about 400 tokens, to be changed by tests.
Json small_json() {
  static const Json json = Json::parse(read_text(test_data("tokenizer/small_tokenizer.json")));
  return json;
}

Tokenizer tokenizer_of(const Json& json) { return Tokenizer::from_json(json.dump(), "t.json"); }

std::string load_error(const Json& json) {
  return error_of([&] { return tokenizer_of(json); });
}

std::string pattern_error(const std::string& regex) {
  Json json = small_json();
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = regex;
  return load_error(json);
}

Json& regex_of(Json& json) { return json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]; }

std::uint64_t fnv1a(const Ids& ids) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (static_cast<std::uint32_t>(id) >> shift & 0xff)) * 0x100000001b3;
    }
  }
  return hash;
}

template <class T>
T take(std::string_view& bytes) {
  T value;
  EXPECT_GE(bytes.size(), sizeof(T));
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

std::string repeated(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST(Tokenizer, EncodesLikeHuggingFaceOnACorpusOfAllScripts) {
  const std::string file = read_text(ZIMAGE_TOKENIZER_CORPUS);
  int strings = 0, wrong = 0;
  for (std::string_view rest = file; !rest.empty(); ++strings) {
    const auto bytes = take<std::uint32_t>(rest), tokens = take<std::uint32_t>(rest);
    const auto hash = take<std::uint64_t>(rest), ordinary_hash = take<std::uint64_t>(rest);
    const std::string_view text = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    const Ids ids = qwen3().encode(text);
    const bool ok = ids.size() == tokens && fnv1a(ids) == hash &&
                    fnv1a(qwen3().encode_ordinary(text)) == ordinary_hash;
    if (!ok && ++wrong <= 10)
      ADD_FAILURE() << "string " << strings << ": " << Json(text).dump(-1, ' ', true);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(strings, 10'000);
}

TEST(Tokenizer, EncodesListedTextsLikeHuggingFace) {
  for (const Json& entry : golden()["encode"]) {
    EXPECT_EQ(qwen3().encode(entry[0].get<std::string>()), entry[1].get<Ids>()) << entry[0];
  }
}

TEST(Tokenizer, DecodesLikeHuggingFaceAlsoWhereTokensCutCharacters) {
  for (const Json& entry : golden()["decode"]) {
    EXPECT_EQ(qwen3().decode(entry[0].get<Ids>()), entry[1].get<std::string>()) << entry[0];
  }
}

TEST(Tokenizer, DecodesWhatItEncodes) {
  for (const std::string& text :
       {std::string("a cat, 一只猫 👩‍🚀\n\t  x"), std::string("\0a\0", 3),
        std::string("<think>a</think> <|im_end|>")}) {
    EXPECT_EQ(qwen3().decode(qwen3().encode(text)), text);
    EXPECT_EQ(qwen3().decode(qwen3().encode_ordinary(text)), text);
  }
  EXPECT_EQ(qwen3().decode({}), "");
}

TEST(Tokenizer, RejectsIdsItDoesNotHave) {
  EXPECT_EQ(qwen3().vocab_size(), 151669);
  EXPECT_THAT(error_of([] { return qwen3().decode(Ids{151669}); }),
              HasSubstr("tokenizer.json: token id 151669, expected 0 to 151668"));
  EXPECT_THAT(error_of([] { return qwen3().decode(Ids{-1}); }), HasSubstr("token id -1"));
}

TEST(Tokenizer, TakesAddedTokensForTextInEncodeOrdinary) {
  EXPECT_THAT(qwen3().encode("<|im_end|>"), ElementsAre(151645));
  const Ids ids = qwen3().encode_ordinary("<|im_end|><think>");
  for (const std::int32_t id : ids) EXPECT_LT(id, 151643);
  EXPECT_EQ(qwen3().decode(ids), "<|im_end|><think>");
}

TEST(Tokenizer, KnowsTheIdsOfAddedTokensOnly) {
  EXPECT_EQ(qwen3().token_id("<|im_start|>"), 151644);
  EXPECT_EQ(tokenizer_of(small_json()).token_id("<|im_start|>"), 1);
  EXPECT_EQ(error_of([] { return tokenizer_of(small_json()).token_id("cat"); }),
            "t.json: added_tokens have no \"cat\"");
}

TEST(Tokenizer, HandlesFlagsOfAddedTokensLikeHuggingFace) {
  const Tokenizer small = tokenizer_of(small_json());
  for (const Json& entry : golden()["small"]) {
    EXPECT_EQ(small.encode(entry[0].get<std::string>()), entry[1].get<Ids>()) << entry[0];
  }
}

TEST(Tokenizer, TakesWholeWordsFirstWhenMergesAreIgnored) {
  Json json = small_json();
  json["model"]["ignore_merges"] = true;
  Json& merges = json["model"]["merges"];
  merges.erase(merges.begin() + 40, merges.end());
  const Tokenizer tokenizer = tokenizer_of(json);
  for (const Json& entry : golden()["whole_words"]) {
    EXPECT_EQ(tokenizer.encode(entry[0].get<std::string>()), entry[1].get<Ids>()) << entry[0];
  }
}

TEST(Tokenizer, ReadsMergesInBothNotations) {
  Json json = small_json();
  for (Json& merge : json["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const std::string text = "a red cat on the table, for (int i = 0;";
  EXPECT_EQ(tokenizer_of(json).encode(text), tokenizer_of(small_json()).encode(text));
}

TEST(Tokenizer, LeavesTextAsItIsWithoutNormalizer) {
  Json json = small_json();
  json["normalizer"] = nullptr;
  const Tokenizer tokenizer = tokenizer_of(json);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("e\u0301")), "e\u0301");
}

// Classes of characters and NFC of Hugging Face differ from those of PCRE2 and utf8proc where
// Unicode versions do, so this goes through every character of the planes that are in use.
TEST(Tokenizer, TreatsEveryCharacterLikeHuggingFace) {
  for (const Json& entry : golden()["characters"]) {
    const char32_t first = entry[0];
    std::string text;
    for (char32_t c = first; c < first + 1024; ++c) {
      if (c >= 0xd800 && c <= 0xdfff) continue;
      std::string character;
      append_utf8(c, character);
      text += character + "a" + character + " e" + character + "\u0323\u0301";
    }
    EXPECT_EQ(str(fnv1a(qwen3().encode_ordinary(text))), entry[1]) << std::hex << entry[0];
  }
}

TEST(Tokenizer, NamesTheFirstInvalidByteOfAText) {
  const auto error = [](const std::string& text) {
    const std::string message = error_of([&] { return qwen3().encode(text); });
    EXPECT_EQ(message, error_of([&] { return qwen3().encode_ordinary(text); }));
    return message;
  };
  EXPECT_EQ(error("ab\xff"), "text: byte 2 is no valid UTF-8");
  for (const char* bytes :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe4\xb8",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xc2\x41"}) {
    EXPECT_EQ(error("é" + std::string(bytes)), "text: byte 2 is no valid UTF-8");
  }
}

TEST(Tokenizer, DecodesInvalidBytesAsReplacementCharacters) {
  const Tokenizer small = tokenizer_of(small_json());
  const Ids cat = small.encode("\u732b");  // three bytes, three tokens
  ASSERT_EQ(cat.size(), 3u);
  EXPECT_EQ(small.decode(std::span(cat).first(2)), "\ufffd");
  EXPECT_EQ(small.decode(std::span(cat).last(2)), "\ufffd\ufffd");
}

TEST(Tokenizer, TakesLinearTimeForLongRuns) {
  const auto start = std::chrono::steady_clock::now();
  const int n = 200'000;  // quadratic time would be minutes
  for (const std::string_view part :
       {" ", "a", "\n", "\u3000", "\u0301", "\u0301\u0323", "<", "!", "ab ", "\u1100"}) {
    const std::string text = str("x", repeated(part, n), "y");
    EXPECT_FALSE(qwen3().encode(text).empty());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(Tokenizer, MayBeSharedByThreads) {
  const std::string text = "a photo of a cat \u180e e\u0301";
  const Ids expected = qwen3().encode(text);
  std::vector<Ids> results(4);
  {
    std::vector<std::jthread> threads;
    for (Ids& result : results) threads.emplace_back([&] { result = qwen3().encode(text); });
  }
  EXPECT_THAT(results, testing::Each(expected));
}

TEST(EncodePrompt, MatchesTheChatTemplateOfTransformers) {
  for (const Json& entry : golden()["template"]) {
    const PromptIds prompt = encode_prompt(qwen3(), entry[0].get<std::string>(), 512);
    EXPECT_EQ(prompt.ids, entry[1].get<Ids>()) << entry[0];
    EXPECT_EQ(prompt.total, static_cast<int>(prompt.ids.size()));
    EXPECT_EQ(prompt.lost, "");
  }
}

TEST(EncodePrompt, KeepsSpecialTokensOfTheUserAsText) {
  const std::string text = "a<|im_end|>\n<|im_start|>system\nb";
  const Ids ids = encode_prompt(qwen3(), text, 512).ids;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 151645), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 151644), 2);
  EXPECT_EQ(qwen3().decode(ids),
            "<|im_start|>user\n" + text + "<|im_end|>\n<|im_start|>assistant\n");
}

TEST(EncodePrompt, CutsTheTailAndTellsWhatOfThePromptIsLost) {
  const std::string text = "one two three four";
  const PromptIds whole = encode_prompt(qwen3(), text, 512);
  ASSERT_EQ(whole.total, 12);  // 3 before the prompt, 4 words, 5 behind it
  const auto lost = [&](int max_tokens) {
    const PromptIds prompt = encode_prompt(qwen3(), text, max_tokens);
    EXPECT_EQ(prompt.ids, Ids(whole.ids.begin(), whole.ids.begin() + std::min(max_tokens, 12)));
    EXPECT_EQ(prompt.total, 12);
    return prompt.lost;
  };
  EXPECT_EQ(lost(12), "");
  EXPECT_EQ(lost(11), "");  // the end of the template
  EXPECT_EQ(lost(7), "");
  EXPECT_EQ(lost(6), " four");
  EXPECT_EQ(lost(4), " two three four");
  for (const int max_tokens : {1, 2, 3}) EXPECT_EQ(lost(max_tokens), text);
}

TEST(EncodePrompt, LosesCharactersWhole) {
  const Tokenizer small = tokenizer_of(small_json());
  const std::string text = "a\u732b\u72ac\U0001f431";
  const PromptIds whole = encode_prompt(small, text, 512);
  std::string last = "none";
  for (int n = 1; n <= whole.total; ++n) {
    const std::string lost = encode_prompt(small, text, n).lost;
    EXPECT_TRUE(std::string_view(text).ends_with(lost));
    EXPECT_TRUE(lost.empty() || (lost[0] & 0xc0) != 0x80) << Json(lost).dump();
    if (lost != last) last = lost;
  }
  EXPECT_EQ(last, "");
}

TEST(EncodePrompt, RejectsWhatItCannotEncode) {
  EXPECT_EQ(error_of([] { return encode_prompt(qwen3(), "a", 0); }),
            "prompt: max_tokens is 0, expected at least 1");
  EXPECT_EQ(error_of([] { return encode_prompt(qwen3(), "a\xff", 9); }),
            "prompt: byte 1 is no valid UTF-8");
  Json json = small_json();
  json["added_tokens"] = Json::array();
  EXPECT_EQ(error_of([&] { return encode_prompt(tokenizer_of(json), "a", 9); }),
            "t.json: added_tokens have no \"<|im_start|>\"");
}

TEST(TokenizerJson, NamesTheFileThatIsMissing) {
  const TempDir dir;
  EXPECT_THAT(error_of([&] { return Tokenizer::load(dir.path()); }), HasSubstr("tokenizer.json"));
}

TEST(TokenizerJson, RejectsTextThatIsNoJson) {
  const auto error = [](std::string_view text) {
    return error_of([&] { return Tokenizer::from_json(text, "t.json"); });
  };
  for (const char* text :
       {"", "{", "{\"model\": tru", "{\"model\": {\"vocab\": {\"a\": 1,}}}", "[1", "\xff"}) {
    EXPECT_THAT(error(text), StartsWith("t.json: is no valid JSON: ")) << text;
  }
  EXPECT_THAT(error(std::string_view("{}\0", 3)), HasSubstr("a NUL character at byte 2"));
  EXPECT_EQ(error("[]"), "t.json is [], expected an object");
  EXPECT_EQ(error("{}"), "t.json: model is missing");
  EXPECT_THAT(error(repeated("[", 100'000)), HasSubstr("nesting of more than 16 levels"));
  EXPECT_THAT(error(str("[", repeated("1,", 1'000'001), "1]")),
              HasSubstr("more than 1000000 values"));
  const std::string whole = small_json().dump();
  for (std::size_t n = 0; n < whole.size(); n += 97) {
    EXPECT_NE(error(std::string_view(whole).substr(0, n)), "") << n;
  }
}

TEST(TokenizerJson, RejectsSettingsThatWouldGiveOtherIds) {
  const auto error = [](const char* pointer, const Json& value) {
    Json json = small_json();
    json[Json::json_pointer(pointer)] = value;
    const std::string message = load_error(json);
    EXPECT_THAT(message, StartsWith("t.json: ")) << pointer;
    return message;
  };
  EXPECT_EQ(error("/model/type", "WordPiece"),
            "t.json: model.type is \"WordPiece\", expected \"BPE\"");
  EXPECT_EQ(error("/model", 1), "t.json: model is 1, expected an object");
  EXPECT_EQ(error("/model/dropout", 0.1), "t.json: model.dropout is 0.1, expected null");
  EXPECT_EQ(error("/model/end_of_word_suffix", "</w>"),
            "t.json: model.end_of_word_suffix is \"</w>\", expected none");
  EXPECT_THAT(error("/model/continuing_subword_prefix", "##"), HasSubstr("##"));
  EXPECT_THAT(error("/model/ignore_merges", 1),
              HasSubstr("ignore_merges is 1, expected true or false"));
  EXPECT_EQ(error("/normalizer/type", "NFKC"),
            "t.json: normalizer is {\"type\":\"NFKC\"}, expected one of type NFC");
  EXPECT_THAT(error("/pre_tokenizer", nullptr),
              HasSubstr("pre_tokenizer is null, expected one of type"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers", Json::array()),
              HasSubstr("expected Split and ByteLevel"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/0/type", "Digits"),
              HasSubstr("expected one of type Split"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/0/behavior", "Removed"),
              HasSubstr("behavior is \"Removed\", expected \"Isolated\""));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/0/invert", true), HasSubstr("invert is true"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/0/pattern", {{"String", " "}}),
              HasSubstr("{\"String\":\" \"}"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/0/pattern", "x"),
              HasSubstr("expected {\"Regex\""));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/1/add_prefix_space", true),
              HasSubstr("add_prefix_space is true, expected false"));
  EXPECT_THAT(error("/pre_tokenizer/pretokenizers/1/use_regex", nullptr),
              HasSubstr("use_regex is absent"));
  EXPECT_THAT(error("/post_processor/type", "TemplateProcessing"), HasSubstr("post_processor"));
  EXPECT_THAT(error("/decoder", nullptr),
              HasSubstr("decoder is null, expected one of type ByteLevel"));
}

TEST(TokenizerJson, IgnoresSettingsWithoutEffect) {
  Json json = small_json();
  json["model"]["unk_token"] = "<unk>";
  json["model"]["fuse_unk"] = true;
  json["model"]["byte_fallback"] = true;
  json["truncation"] = {{"max_length", 1}};
  json["padding"] = {{"length", 9}};
  EXPECT_EQ(tokenizer_of(json).encode("the cat"), tokenizer_of(small_json()).encode("the cat"));
}

TEST(TokenizerJson, AcceptsATemplateOfTheTextAlone) {
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json special = {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}};
  Json json = small_json();
  json["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array({text})}};
  EXPECT_EQ(tokenizer_of(json).encode("the cat"), tokenizer_of(small_json()).encode("the cat"));
  json["post_processor"]["single"] = {text, special};
  EXPECT_EQ(load_error(json),
            "t.json: post_processor: adds tokens around the text, which is not supported");
}

TEST(TokenizerJson, RejectsVocabulariesWithWrongIds) {
  const auto error = [](const char* token, const Json& id) {
    Json json = small_json();
    json["model"]["vocab"][token] = id;
    return load_error(json);
  };
  const std::size_t n = small_json()["model"]["vocab"].size();
  EXPECT_THAT(error("a", -1), HasSubstr("model.vocab: the id of \"a\" is -1, expected an integer"));
  EXPECT_THAT(error("a", 1.5), HasSubstr("is 1.5, expected an integer"));
  EXPECT_THAT(error("a", "1"), HasSubstr("is \"1\", expected an integer"));
  EXPECT_THAT(error("a", {1}), HasSubstr("is nested, expected an integer"));
  EXPECT_THAT(error("a", 2147483648), HasSubstr("is 2147483648, expected an integer"));
  EXPECT_THAT(error("a", 18446744073709551615u), HasSubstr("is 18446744073709551615"));
  EXPECT_THAT(error("a", 2147483647), HasSubstr(str("is 2147483647, expected 0 to ", n - 1,
                                                    " without gaps for ", n, " tokens")));
  EXPECT_THAT(error("a", 5), HasSubstr("id 5 is of \""));
  EXPECT_THAT(error("new", n + 1), HasSubstr("without gaps"));
  EXPECT_THAT(error("", n), HasSubstr("is of an empty token"));

  Json json = small_json();
  json["added_tokens"].clear();
  std::string twice = json.dump();
  twice.insert(twice.find("\"vocab\":{") + 9, str("\"a\":", n, ","));
  EXPECT_EQ(error_of([&] { return Tokenizer::from_json(twice, "t.json"); }),
            "t.json: model.vocab has \"a\" twice");
}

TEST(TokenizerJson, RejectsVocabulariesOfAnotherForm) {
  Json json = small_json();
  for (const Json& vocab : {Json(), Json(1), Json::object()}) {
    json["model"]["vocab"] = vocab;
    EXPECT_THAT(load_error(json), HasSubstr("model.vocab is missing or empty"));
  }
  json["model"]["vocab"] = {"a", "b"};
  EXPECT_THAT(load_error(json), HasSubstr("model.vocab is no object"));
  json = small_json();
  json["model"]["vocab"].erase("Ġ");
  EXPECT_NE(load_error(json), "");
}

TEST(TokenizerJson, RejectsVocabulariesWithoutAllBytes) {
  Json json = small_json();
  Json& vocab = json["model"]["vocab"];
  vocab["not a byte"] = vocab["Ä"];
  vocab.erase("Ä");
  EXPECT_EQ(load_error(json),
            "t.json: model.vocab has no \"Ä\", expected a token for each of the 256 bytes");
}

TEST(TokenizerJson, RejectsMergesItCannotDo) {
  const auto error = [](const Json& merges) {
    Json json = small_json();
    json["model"]["merges"] = merges;
    return load_error(json);
  };
  const auto pair = [](const char* left, const char* right) { return Json::array({left, right}); };
  EXPECT_EQ(error(Json::array({pair("a", "t"), pair("t", "xyz")})),
            "t.json: model.merges: entry 1 needs \"txyz\", which model.vocab does not have");
  EXPECT_THAT(error(Json::array({pair("", "t")})), HasSubstr("entry 0 needs \"\""));
  EXPECT_THAT(error({"t"}), HasSubstr("\"t\", expected two tokens with one space between"));
  EXPECT_THAT(error({"t h e"}), HasSubstr("\"t h e\", expected two tokens"));
  for (const Json& entry :
       {Json({"t"}), Json({"t", "h", "e"}), Json({"t", 1}), Json(1), Json(nullptr),
        Json({{"t", "h"}}), Json({"t", Json({"h"})}), Json::array(), Json::object()}) {
    EXPECT_THAT(error(Json::array({entry})), HasSubstr("entry 0 is neither \"a b\" nor")) << entry;
  }
  EXPECT_THAT(error({{"t", {{"h", "e"}}}}), HasSubstr("entry 0 is neither"));
}

TEST(TokenizerJson, RejectsAddedTokensOutOfOrder) {
  const auto error = [](const Json& change) {
    Json json = small_json();
    json["added_tokens"].back().update(change);
    const std::string message = load_error(json);
    EXPECT_THAT(message, StartsWith("t.json: added_tokens[")) << change;
    return message;
  };
  const int last = small_json()["added_tokens"].back()["id"];
  EXPECT_THAT(error({{"content", ""}}),
              HasSubstr("content is \"\", expected a text that is not empty"));
  EXPECT_THAT(error({{"content", 1}}), HasSubstr("content is 1"));
  EXPECT_THAT(error({{"content", repeated("x", 1025)}}),
              HasSubstr("has 1025 bytes, expected at most 1024"));
  EXPECT_THAT(error({{"content", "<left>"}}), HasSubstr("is also added_tokens[3]"));
  EXPECT_THAT(error({{"content", "a"}}), HasSubstr("as in model.vocab"));
  EXPECT_THAT(error({{"id", last + 1}}),
              HasSubstr(str("is ", last + 1, ", expected ", last, ", the next")));
  EXPECT_THAT(error({{"id", last - 1}}), HasSubstr("the next without a gap"));
  for (const Json& id : {Json(-1), Json(2147483648), Json("1"), Json(), Json(1.0)}) {
    EXPECT_THAT(error({{"id", id}}), HasSubstr(".id is ")) << id;
  }
  EXPECT_THAT(error({{"single_word", true}}),
              HasSubstr("single_word is true, which is not supported"));
  EXPECT_THAT(error({{"lstrip", 1}}), HasSubstr("lstrip is 1, expected true or false"));

  Json json = small_json();
  json["added_tokens"].back().update({{"content", "\u00e9te\u0301"}, {"normalized", true}});
  EXPECT_THAT(load_error(json), HasSubstr("when normalized"));
  json["added_tokens"].clear();
  for (int i = 0; i < 1100; ++i) {
    json["added_tokens"].push_back({{"id", last + i}, {"content", str(i, repeated("x", 1000))}});
  }
  EXPECT_EQ(load_error(json), "t.json: added_tokens have more than 1048576 bytes of content");
  json["added_tokens"] = 1;
  EXPECT_EQ(load_error(json), "t.json: added_tokens is 1, expected an array");
  json["added_tokens"] = {1};
  EXPECT_EQ(load_error(json), "t.json: added_tokens[0] is 1, expected an object");
}

TEST(TokenizerJson, RejectsExpressionsThatOnigurumaReadsOtherwise) {
  for (const char* regex :
       {"\\w+",    "\\h",      "\\d+",    "^a",      "a$",     "a{2}+",       "a{,3}",
        "(?i)a",   "(?i:ss)",  "(?<n>a)", "(?<=a)b", "[a&&b]", "[[:alpha:]]", "[a-z]",
        "\\p{Lu}", "\\p{Han}", "(?#x)",   "(*UTF)a", "\\Ka",   "(?R)",        "(?C1)a",
        "é",       "\\1",      "a\\",     "[a",      "\\Q"}) {
    EXPECT_THAT(pattern_error(regex), HasSubstr("has parts outside the supported ones")) << regex;
  }
  for (const char* regex :
       {"(a", "a)", "*a", "a**", "(?:a{999}){999}|((a{999}){999}){999}", "a{9,3}"}) {
    EXPECT_THAT(pattern_error(regex), HasSubstr(" at byte ")) << regex;
  }
  for (const char* regex : {"", "a*", "a|", "(?=a)", "\\s?"}) {
    EXPECT_THAT(pattern_error(regex), HasSubstr("can match the empty text")) << regex;
  }
  EXPECT_THAT(pattern_error(repeated("a", 5000)), HasSubstr("5000 bytes, expected at most 4096"));
  for (const char* regex :
       {"\\p{N}{1,3}|\\P{N}+", " ?[^\\s\\p{L}\\p{N}]++[\\r\\n/]*|.", "(a|b)+?c|x(?=y)"}) {
    EXPECT_EQ(pattern_error(regex), "") << regex;
  }
}

TEST(TokenizerJson, StopsExpressionsThatBacktrackWithoutEnd) {
  Json json = small_json();
  regex_of(json) = "(?:a|a|aa)+b|.";
  const Tokenizer tokenizer = tokenizer_of(json);
  EXPECT_THAT(
      error_of([&] { return tokenizer.encode(repeated("a", 5000)); }),
      HasSubstr("t.json: pre_tokenizer: the regular expression gives up at byte 0 of a text of"));
}

}  // namespace
}  // namespace zimage
