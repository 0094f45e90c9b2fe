#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "tokenizer/utf8.h"
#include "tokenizer_testing.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

const Tokenizer& qwen3() {
  static const Tokenizer tokenizer = Tokenizer::load(ZIMAGE_QWEN3_TOKENIZER);
  return tokenizer;
}

const Json& golden() {
  static const Json json = Json::parse(read_text(test_data("tokenizer/golden.json")));
  return json;
}

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

}  // namespace
}  // namespace zimage
