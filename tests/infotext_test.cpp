#include "pipeline/infotext.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "testing.h"

namespace zimage {

bool operator==(const Infotext& a, const Infotext& b) {
  return a.prompt == b.prompt && a.negative_prompt == b.negative_prompt &&
         a.parameters == b.parameters;
}

void PrintTo(const Infotext& info, std::ostream* out) {
  *out << "prompt \"" << info.prompt << "\", negative \"" << info.negative_prompt << "\"";
  for (const auto& [key, value] : info.parameters)
    *out << ", \"" << key << "\": \"" << value << '"';
}

namespace {

const Infotext kCat{
    "a cat", "", {{"Steps", "9"}, {"Sampler", "Euler"}, {"Seed", "42"}, {"Size", "1024x768"}}};

struct Case {
  std::string text;
  Infotext as_a1111_reads_it;
};

// Cases of tests/data/infotext/cases.json, made by tools/reference/make_infotext.py.
std::vector<Case> cases(const std::string& kind) {
  std::ifstream file(test_data("infotext/cases.json"));
  const auto all = nlohmann::json::parse(file);
  std::vector<Case> result;
  for (const auto& json : all.at(kind)) {
    Case c{json.at("text"), {json.at("prompt"), json.at("negative_prompt"), {}}};
    for (const auto& pair : json.at("parameters")) {
      c.as_a1111_reads_it.parameters.emplace_back(pair.at(0), pair.at(1));
    }
    result.push_back(std::move(c));
  }
  return result;
}

TEST(Infotext, IsWrittenSoThatA1111ReadsItBack) {
  for (const Case& c : cases("written")) {
    EXPECT_EQ(format_infotext(c.as_a1111_reads_it), c.text);
    EXPECT_EQ(parse_infotext(c.text), c.as_a1111_reads_it) << c.text;
  }
}

TEST(Infotext, OfOthersIsReadAsA1111ReadsIt) {
  for (const Case& c : cases("foreign")) {
    EXPECT_EQ(parse_infotext(c.text), c.as_a1111_reads_it) << c.text;
  }
}

TEST(Infotext, LooksLikeThis) {
  Infotext info = kCat;
  info.negative_prompt = "blurry";
  info.parameters.emplace_back("Model", "z, turbo");
  EXPECT_EQ(format_infotext(info),
            "a cat\nNegative prompt: blurry\n"
            "Steps: 9, Sampler: Euler, Seed: 42, Size: 1024x768, Model: \"z, turbo\"");
}

TEST(Infotext, KeepsSpaceAndEmptyLinesOfPrompts) {
  for (const char* prompt : {"a cat\n", "\n", "\n\n", " a cat ", "a\r\nb\r", "a\n\nb", "\t", ""}) {
    for (const char* negative : {"", "x", "x\n", "\nx", " x ", "\n"}) {
      Infotext info = kCat;
      info.prompt = prompt;
      info.negative_prompt = negative;
      EXPECT_EQ(parse_infotext(format_infotext(info)), info);
    }
  }
}

TEST(Infotext, KeepsANegativePromptWithinANegativePrompt) {
  Infotext info = kCat;
  info.negative_prompt = "a\nNegative prompt: b";
  EXPECT_EQ(parse_infotext(format_infotext(info)), info);
}

TEST(Infotext, CannotTellALineOfThePromptFromANegativePrompt) {
  Infotext info = kCat;
  info.prompt = "a\nNegative prompt: b";
  const Infotext read = parse_infotext(format_infotext(info));
  EXPECT_EQ(read.prompt, "a");
  EXPECT_EQ(read.negative_prompt, "b");
}

TEST(Infotext, BytesThatAreNoUtf8DoNoHarm) {
  Infotext info = kCat;
  info.prompt = "a\xff\xe7\x8c";
  info.parameters[0].second = "\xff";
  EXPECT_EQ(parse_infotext(format_infotext(info)), info);
  EXPECT_EQ(parse_infotext("\xff: 1, \xe7\x8c: 2, a\xff: 3").parameters.size(), 0u);
}

TEST(Infotext, LongLinesAreReadInLinearTime) {
  const std::size_t size = 1 << 20;
  std::string quotes;
  while (quotes.size() < size) quotes += "ab: \"\\\", ";
  for (const std::string& line :
       {std::string(size, 'a'), std::string(size, ' '), std::string(size, '"'), quotes,
        "ab: \"" + std::string(size, '\\'), std::string(size, '\n'), std::string(size, ':')}) {
    EXPECT_NO_THROW(parse_infotext(line));
  }
}

TEST(Infotext, RefusesWhatReadersWouldNotSee) {
  Infotext info = kCat;
  info.parameters.resize(2);
  EXPECT_EQ(error_of([&] { return format_infotext(info); }),
            "infotext: 2 parameters, expected 3 or more");
  for (const char* key : {"", "A", "a:b", "a,b", "a\nb", " ab", "ab ", "-ab", "a\"b"}) {
    info = kCat;
    info.parameters[1].first = key;
    EXPECT_NE(error_of([&] { return format_infotext(info); }), "") << key;
  }
}

TEST(CfgScaleText, CountsAsA1111Does) {
  EXPECT_EQ(cfg_scale_text(0), "1");
  EXPECT_EQ(cfg_scale_text(-1), "1");
  EXPECT_EQ(cfg_scale_text(4), "5");
  EXPECT_EQ(cfg_scale_text(2.5f), "3.5");
  EXPECT_EQ(cfg_scale_text(0.1f), "1.1");
  EXPECT_EQ(cfg_scale_text(std::numeric_limits<float>::max()), "3.4028235e+38");
}

}  // namespace
}  // namespace zimage
