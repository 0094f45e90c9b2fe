#include "io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "testing.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string parse_error(std::string_view text) {
  return error_of([&] { return Json::parse(text, "c.json"); });
}

template <class T>
std::string get_error(std::string_view value) {
  const Json json = Json::parse(str("{\"k\": ", value, "}"), "c.json");
  return error_of([&] { return json.get<T>("k"); });
}

template <class T>
T get(std::string_view value) {
  return Json::parse(str("{\"k\": ", value, "}"), "c.json").get<T>("k");
}

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Json, ReadsEveryType) {
  const Json json = Json::parse(
      R"({"b": true, "i": -7, "l": 9007199254740993, "f": 1e-5, "d": 0.1, "s": "a\u00e9\n",
          "vi": [1, 2], "vl": [9223372036854775807], "vf": [1, 0.5], "vs": ["x", ""],
          "axes": [32, 48, 48]})",
      "c.json");
  EXPECT_EQ(json.get<bool>("b"), true);
  EXPECT_EQ(json.get<int>("i"), -7);
  EXPECT_EQ(json.get<std::int64_t>("l"), 9007199254740993);
  EXPECT_EQ(json.get<float>("f"), 1e-5f);
  EXPECT_EQ(json.get<double>("d"), 0.1);
  EXPECT_EQ(json.get<std::string>("s"), "a\u00e9\n");
  EXPECT_THAT(json.get<std::vector<int>>("vi"), ElementsAre(1, 2));
  EXPECT_THAT(json.get<std::vector<std::int64_t>>("vl"),
              ElementsAre(std::numeric_limits<std::int64_t>::max()));
  EXPECT_THAT(json.get<std::vector<float>>("vf"), ElementsAre(1.0f, 0.5f));
  EXPECT_THAT(json.get<std::vector<std::string>>("vs"), ElementsAre("x", ""));
  EXPECT_THAT((json.get<std::array<int, 3>>("axes")), ElementsAre(32, 48, 48));
}

TEST(Json, KeepsTheOrderOfKeysAndFindsEach) {
  const Json json = Json::parse(R"({"zeta": 1, "alpha": 2, "": 3, "mid": 4})", "c.json");
  EXPECT_THAT(json.keys(), ElementsAre("zeta", "alpha", "", "mid"));
  EXPECT_EQ(json.get<int>("zeta"), 1);
  EXPECT_EQ(json.get<int>("alpha"), 2);
  EXPECT_EQ(json.get<int>(""), 3);
  EXPECT_EQ(json.get<int>("mid"), 4);
  EXPECT_FALSE(json.has("beta"));
}

TEST(Json, NullCountsAsAbsent) {
  const Json json = Json::parse(R"({"n": null, "i": 3})", "c.json");
  EXPECT_FALSE(json.has("n"));
  EXPECT_EQ(json.get_or("n", 5), 5);
  EXPECT_EQ(json.get_or("gone", 1e-5f), 1e-5f);
  EXPECT_EQ(json.get_or("i", 5), 3);
  EXPECT_EQ(json.get_or<std::string>("n", "x"), "x");
  EXPECT_EQ(error_of([&] { return json.get<int>("n"); }),
            "c.json: key n is null, expected an integer from -2147483648 to 2147483647");
  EXPECT_EQ(error_of([&] { return json.get<int>("gone"); }), "c.json: key gone is missing");
}

TEST(Json, DefaultDoesNotHideAWrongType) {
  const Json json = Json::parse(R"({"eps": "1e-5"})", "c.json");
  EXPECT_EQ(error_of([&] { return json.get_or("eps", 1.0f); }),
            "c.json: key eps is \"1e-5\", expected a number");
}

TEST(Json, NestedObjectsOutliveTheirParentAndNameTheirPlace) {
  const auto inner = [] {
    return Json::parse(R"({"a": {"b": {"c": 1}}})", "c.json").object("a").object("b");
  }();
  EXPECT_EQ(inner.where(), "c.json key a.b");
  EXPECT_EQ(inner.get<int>("c"), 1);
  EXPECT_EQ(error_of([&] { return inner.get<bool>("c"); }),
            "c.json key a.b: key c is 1, expected true or false");
  EXPECT_EQ(error_of([&] { return inner.object("c"); }),
            "c.json key a.b: key c is 1, expected an object");
}

TEST(Json, ArraysOfObjectsNameTheElement) {
  const Json json =
      Json::parse(R"({"l": [{"x": 1}, {"x": "y"}], "m": [{}, 3], "n": {}})", "c.json");
  const std::vector<Json> objects = json.objects("l");
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0].get<int>("x"), 1);
  EXPECT_EQ(error_of([&] { return objects[1].get<double>("x"); }),
            "c.json key l[1]: key x is \"y\", expected a number");
  EXPECT_EQ(error_of([&] { return json.objects("m"); }),
            "c.json key m[1]: is 3, expected an object");
  EXPECT_EQ(error_of([&] { return json.objects("n"); }),
            "c.json: key n is an object, expected an array of objects");
}

TEST(Json, IntegersAreExactAndInRange) {
  EXPECT_EQ(get<int>("2147483647"), 2147483647);
  EXPECT_EQ(get<int>("-2147483648"), std::numeric_limits<int>::min());
  EXPECT_EQ(get<int>("-0"), 0);
  EXPECT_EQ(get_error<int>("2147483648"),
            "c.json: key k is 2147483648, expected an integer from -2147483648 to 2147483647");
  EXPECT_EQ(
      get_error<std::int64_t>("9223372036854775808"),
      "c.json: key k is 9223372036854775808, expected an integer from -9223372036854775808 to "
      "9223372036854775807");
  EXPECT_THAT(get_error<std::int64_t>("18446744073709551616"),
              StartsWith("c.json: key k is 1.844674"));
  EXPECT_THAT(get_error<int>("3.0"), StartsWith("c.json: key k is 3.0, expected an integer"));
  EXPECT_THAT(get_error<int>("1e3"), StartsWith("c.json: key k is 1000.0, expected an integer"));
  EXPECT_THAT(get_error<int>("true"), StartsWith("c.json: key k is true, expected an integer"));
  EXPECT_THAT(get_error<int>("\"3\""), StartsWith("c.json: key k is \"3\", expected an integer"));
}

TEST(Json, FloatsTakeIntegersButNoOverflow) {
  EXPECT_EQ(get<float>("1000000"), 1e6f);
  EXPECT_EQ(get<double>("18446744073709551615"), 18446744073709551615.0);
  EXPECT_EQ(get<float>("3.4028234663852886e38"), std::numeric_limits<float>::max());
  EXPECT_EQ(get<float>("-1e-400"), 0.0f);
  EXPECT_EQ(get_error<float>("1e39"),
            "c.json: key k is 9.9999999999999994e+38, expected a 32-bit float");
  EXPECT_EQ(get_error<double>("false"), "c.json: key k is false, expected a number");
  EXPECT_THAT(parse_error(R"({"k": 1e400})"),
              StartsWith("c.json: is no valid JSON: number overflow"));
}

TEST(Json, WrongElementsOfArraysAreNamed) {
  EXPECT_EQ(get_error<std::vector<int>>("[1, 2.5]"),
            "c.json: key k is an array of 2 values, expected element 1 (2.5) to be an integer from "
            "-2147483648 to 2147483647");
  EXPECT_EQ((get_error<std::array<int, 3>>("[1, 2]")),
            "c.json: key k is an array of 2 values, expected an array of 3 values");
  EXPECT_EQ(get_error<std::vector<std::string>>("\"x\""),
            "c.json: key k is \"x\", expected an array");
  EXPECT_EQ(get_error<bool>("{}"), "c.json: key k is an object, expected true or false");
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(parse_error(R"({"a": 1, "b": 2, "a": 3})"),
            "c.json: key a appears twice in one object");
  EXPECT_EQ(parse_error(R"({"a": 1, "\u0061": 2})"), "c.json: key a appears twice in one object");
  EXPECT_EQ(parse_error(R"({"x": [{"": 1, "": 2}]})"), "c.json: key  appears twice in one object");
  EXPECT_EQ(parse_error(R"({"a": {"a": 1}, "b": {"a": 1}})"), "");
}

TEST(Json, RefusesWhatIsNoObject) {
  EXPECT_EQ(parse_error("[{}]"), "c.json: is an array, expected an object at the top");
  EXPECT_EQ(parse_error("3"), "c.json: is a single value, expected an object at the top");
  EXPECT_EQ(parse_error("null"), "c.json: is a single value, expected an object at the top");
  EXPECT_THAT(parse_error(""), StartsWith("c.json: is no valid JSON: "));
}

TEST(Json, RefusesBrokenSyntaxNamingThePlace) {
  for (const std::string_view text : {"{",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":.5}",
                                      "{\"a\":1.}",
                                      "{\"a\":NaN}",
                                      "{\"a\":Infinity}",
                                      "{\"a\":-Infinity}",
                                      "{\"a\":nan}",
                                      "{} x",
                                      "{}{}",
                                      "{\"a\":1}// c",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\udc00\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\xc0\x80\"}",
                                      "{\"a\":\"\xed\xa0\x80\"}",
                                      "{\"a\xf5\":1}",
                                      "\xff{}",
                                      "{\"a\":[1}"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(parse_error(text), StartsWith("c.json: is no valid JSON: parse error at line "));
  }
}

TEST(Json, NulNeitherHidesTextNorPasses) {
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_error("{}\0{\"a\":1}"sv), "c.json: is no valid JSON: a NUL character at byte 2");
  EXPECT_EQ(parse_error("{\"a\0\":1}"sv), "c.json: is no valid JSON: a NUL character at byte 3");
  EXPECT_EQ(get<std::string>(R"("\u0000")"), "\0"sv);
}

TEST(Json, NestingIsLimitedWithoutRunningOutOfStack) {
  EXPECT_EQ(parse_error(str("{\"a\":", repeated("[", 63), repeated("]", 63), "}")), "");
  const std::string too_deep = "c.json: is nested deeper than 64 levels";
  EXPECT_EQ(parse_error(str("{\"a\":", repeated("[", 64), repeated("]", 64), "}")), too_deep);
  EXPECT_EQ(parse_error(str("{\"a\":", repeated("[", 100'000))), too_deep);
  EXPECT_EQ(parse_error(repeated("{\"a\":", 100'000)), too_deep);
  EXPECT_EQ(parse_error(repeated("[", 100'000)),
            "c.json: is an array, expected an object at the top");
}

TEST(Json, NumberOfValuesIsLimited) {
  EXPECT_EQ(parse_error(str("{\"a\":[0", repeated(",0", 1 << 21), "]}")),
            "c.json: holds more than 2097152 values");
}

TEST(Json, FloodsOfDigitsAndLineBreaksAreRefusedAtOnce) {
  EXPECT_EQ(parse_error(str("{\"a\":", std::string(1 << 20, '1'), "}")),
            "c.json: is no valid JSON: a number of 1048576 digits at byte 5");
  EXPECT_EQ(parse_error(std::string(64 << 20, '\n')),
            "c.json: has more than 1048576 line breaks between two values");
  EXPECT_EQ(
      parse_error(str("{", std::string(1 << 20, '\n'), "\"a\":", std::string(1 << 20, '\t'), "1}")),
      "");
  // Inside a string neither counts, whatever is escaped there.
  EXPECT_EQ(parse_error(str(R"({"a":"\",)", std::string(5000, '1'), R"(\\"})")), "");
}

TEST(Json, AMillionKeysAreFine) {
  std::string text = "{\"weight_map\":{\"-1\":\"\"";
  for (int i = 0; i < 1'000'000; ++i) text += str(",\"", i, "\":\"s\"");
  const Json json = Json::parse(text + "}}", "index.json").object("weight_map");
  EXPECT_EQ(json.keys().size(), 1'000'001u);
  EXPECT_EQ(json.get<std::string>("999999"), "s");
}

TEST(Json, MessagesStayOneShortLine) {
  const std::string message = get_error<int>(str("\"", repeated("x\\n", 100'000), "\""));
  EXPECT_LT(message.size(), 1000u);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  const std::string broken = parse_error(str("{\"a\":\"", std::string(100'000, 'x'), "\xff"));
  EXPECT_LT(broken.size(), 1000u);
  EXPECT_THAT(broken, HasSubstr("ill-formed UTF-8"));
}

TEST(Json, FilesAreNamedAndBounded) {
  const TempDir dir;
  const auto path = dir / "config.json";
  std::ofstream(path) << R"({"dim": 3840})";
  const Json json = Json::parse_file(path);
  EXPECT_EQ(json.get<int>("dim"), 3840);
  EXPECT_EQ(json.where(), path.string());
  EXPECT_EQ(error_of([&] { return Json::parse_file(path, 12); }),
            str(path.string(), ": has 13 bytes or more, expected at most 12"));
  EXPECT_EQ(error_of([&] { return Json::parse_file(dir / "no.json"); }),
            str((dir / "no.json").string(), ": cannot be opened: No such file or directory"));
}

TEST(Json, EveryMutationOfAFileParsesOrThrowsError) {
  const std::string good = R"({"a":[1,-2.5e3,true,null,"x\u00e9"],"b":{"c":[]},"d":"\"\\"})";
  for (std::size_t i = 0; i < good.size(); ++i) {
    parse_error(good.substr(0, i));
    for (int value = 0; value < 256; ++value) {
      std::string mutated = good;
      mutated[i] = static_cast<char>(value);
      parse_error(mutated);  // anything but Error would end the test
    }
  }
}

}  // namespace
}  // namespace zimage
