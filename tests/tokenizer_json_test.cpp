#include <gmock/gmock.h>

#include "tokenizer_testing.h"

namespace zimage {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string load_error(const Json& json) {
  return error_of([&] { return tokenizer_of(json); });
}

std::string pattern_error(const std::string& regex) {
  Json json = small_json();
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = regex;
  return load_error(json);
}

Json& regex_of(Json& json) { return json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]; }

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
