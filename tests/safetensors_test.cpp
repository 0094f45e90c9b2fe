#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "io/file.h"
#include "testing.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t kLimit = 100'000'000;  // of the header

// A file with this header, stated to have `claimed` bytes, and data_bytes of data.
std::string file_of(std::string_view header, std::size_t data_bytes, std::uint64_t claimed) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &claimed, 8);
  return file + std::string(header) + std::string(data_bytes, '\1');
}
std::string file_of(std::string_view header, std::size_t data_bytes = 0) {
  return file_of(header, data_bytes, header.size());
}

SafetensorsHeader parse(std::string_view file) {
  return parse_safetensors_header(std::as_bytes(std::span(file.data(), file.size())), file.size(),
                                  "m.safetensors");
}

std::string error_in_file(std::string_view file) {
  return error_of([&] { return parse(file).data_begin; });
}

std::string error_in(std::string_view header, std::size_t data_bytes = 0) {
  return error_in_file(file_of(header, data_bytes));
}

// The error for one tensor "a" of these fields.
std::string error_in_tensor(std::string_view fields, std::size_t data_bytes = 0) {
  return error_in(str("{\"a\":{", fields, "}}"), data_bytes);
}
std::string error_in_shape(std::string_view shape, std::size_t data_bytes = 0) {
  return error_in_tensor(
      str(R"("dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,)", data_bytes, "]"),
      data_bytes);
}
std::string error_in_offsets(std::string_view offsets, std::size_t data_bytes = 8) {
  return error_in_tensor(str(R"("dtype":"F32","shape":[2],"data_offsets":)", offsets), data_bytes);
}

std::string u8_entry(std::string_view name, int begin, int end) {
  return str('"', name, R"(":{"dtype":"U8","shape":[)", end - begin, R"(],"data_offsets":[)", begin,
             ",", end, "]}");
}

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

void write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

template <class T>
std::vector<double> numbers_of(const Tensor& t) {
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    T value;
    std::memcpy(&value, t.raw() + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    numbers.push_back(static_cast<double>(value));
  }
  return numbers;
}

TEST(Safetensors, ReadsWhatTheReferenceLibraryWrote) {
  const auto file = SafetensorsFile::open(test_data("safetensors/reference.safetensors"));
  const auto& tensors = file.tensors();
  const std::vector<double> expected{0, 1, 2, 3, 4, 5};
  for (const Dtype dtype :
       {Dtype::kF32, Dtype::kBf16, Dtype::kF16, Dtype::kF64, Dtype::kI64, Dtype::kI32, Dtype::kI16,
        Dtype::kI8, Dtype::kU64, Dtype::kU32, Dtype::kU16, Dtype::kU8, Dtype::kBool, Dtype::kF8E4M3,
        Dtype::kF8E5M2}) {
    SCOPED_TRACE(name_of(dtype));
    const auto& t = tensors.at(std::string(name_of(dtype)));
    EXPECT_EQ(t.dtype(), dtype);
    EXPECT_EQ(t.shape(), (Shape{2, 3}));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.raw()) % size_of(dtype), 0u);
  }
  EXPECT_EQ(numbers_of<float>(tensors.at("F32")), expected);
  EXPECT_EQ(numbers_of<double>(tensors.at("F64")), expected);
  EXPECT_EQ(values_of(tensors.at("BF16")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers_of<std::int64_t>(tensors.at("I64")), expected);
  EXPECT_EQ(numbers_of<std::int32_t>(tensors.at("I32")), expected);
  EXPECT_EQ(numbers_of<std::int16_t>(tensors.at("I16")), expected);
  EXPECT_EQ(numbers_of<std::int8_t>(tensors.at("I8")), expected);
  EXPECT_EQ(numbers_of<std::uint64_t>(tensors.at("U64")), expected);
  EXPECT_EQ(numbers_of<std::uint32_t>(tensors.at("U32")), expected);
  EXPECT_EQ(numbers_of<std::uint16_t>(tensors.at("U16")), expected);
  EXPECT_EQ(numbers_of<std::uint8_t>(tensors.at("U8")), expected);
  EXPECT_EQ(numbers_of<std::uint8_t>(tensors.at("BOOL")), (std::vector<double>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(numbers_of<std::uint16_t>(tensors.at("F16")),
            (std::vector<double>{0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500}));
  EXPECT_EQ(numbers_of<std::uint8_t>(tensors.at("F8_E4M3")),
            (std::vector<double>{0, 0x38, 0x40, 0x44, 0x48, 0x4a}));
  EXPECT_EQ(numbers_of<std::uint8_t>(tensors.at("F8_E5M2")),
            (std::vector<double>{0, 0x3c, 0x40, 0x42, 0x44, 0x45}));
  EXPECT_EQ(tensors.at("scalar").shape(), Shape{});
  EXPECT_EQ(values_of(tensors.at("scalar")), std::vector<float>{1.5f});
  EXPECT_EQ(tensors.at("empty").shape(), (Shape{0, 3}));
  EXPECT_EQ(values_of(tensors.at("schön \"quoted\"\n名")), std::vector<float>{-2});
  EXPECT_EQ(file.metadata(),
            (std::map<std::string, std::string>{{"format", "pt"}, {"note", "tab\t, quote \", ü"}}));
}

TEST(Safetensors, TensorsKeepTheMappingAlive) {
  const TempDir dir;
  save_safetensors(dir / "f", {{"a", from_values({3}, {1, 2, 3})}});
  const Tensor a = [&] { return SafetensorsFile::open(dir / "f").tensors().at("a"); }();
  fs::remove(dir / "f");
  EXPECT_EQ(values_of(a), (std::vector<float>{1, 2, 3}));
}

TEST(Safetensors, WritesWhatItReads) {
  const TempDir dir;
  const Tensor f = random_normal({3, 5}, Dtype::kF32, 1), b = random_normal({7}, Dtype::kBf16, 2);
  const std::map<std::string, std::string> metadata{{"k", "line\nbreak"}, {"", "ü"}};
  save_safetensors(dir / "f",
                   {{"a.u8", zeros({3}, Dtype::kU8)},
                    {"b", b},
                    {"f", f},
                    {"", zeros({2, 0})},
                    {"scalar", zeros({}, Dtype::kI64)},
                    {"../../x \"\n", f}},
                   metadata);
  const auto file = SafetensorsFile::open(dir / "f");
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), 6u);
  EXPECT_TRUE(all_close(file.tensors().at("f"), f, 0));
  EXPECT_TRUE(all_close(file.tensors().at("b"), b, 0));
  EXPECT_TRUE(all_close(file.tensors().at("../../x \"\n"), f, 0));
  EXPECT_EQ(file.tensors().at("").shape(), (Shape{2, 0}));
  EXPECT_EQ(file.tensors().at("scalar").dtype(), Dtype::kI64);

  // Views of the file, none copied for its alignment.
  const auto bytes = file.file()->bytes();
  for (const auto& [name, t] : file.tensors()) {
    EXPECT_TRUE(t.raw() >= bytes.data() && t.raw() <= bytes.data() + bytes.size()) << name;
  }
}

TEST(Safetensors, WritesTheSameBytesEveryTime) {
  const TempDir dir;
  const std::map<std::string, Tensor> tensors{{"x", from_values({2}, {1, 2})}, {"a", zeros({3})}};
  save_safetensors(dir / "f", tensors);
  save_safetensors(dir / "g", tensors);
  EXPECT_EQ(read_file(dir / "f", 10'000), read_file(dir / "g", 10'000));
}

TEST(Safetensors, ReplacesAFileThatIsMapped) {
  const TempDir dir;
  save_safetensors(dir / "f", {{"a", from_values({2}, {1, 2})}});
  const auto before = SafetensorsFile::open(dir / "f");
  save_safetensors(dir / "f", {{"a", from_values({2}, {3, 4})}});
  EXPECT_EQ(values_of(before.tensors().at("a")), (std::vector<float>{1, 2}));
  before.file()->check_intact();
  EXPECT_EQ(values_of(SafetensorsFile::open(dir / "f").tensors().at("a")),
            (std::vector<float>{3, 4}));
}

TEST(Safetensors, SavingRefusesWhatCannotBeStored) {
  const TempDir dir;
  const auto error = [&](const std::map<std::string, Tensor>& tensors,
                         const std::map<std::string, std::string>& metadata = {}) {
    return error_of([&] { return save_safetensors(dir / "f", tensors, metadata), 0; });
  };
  EXPECT_THAT(error({{"__metadata__", zeros({1})}}), EndsWith("cannot be called __metadata__"));
  EXPECT_THAT(error({{"a", Tensor()}}), EndsWith("tensor a is undefined"));
  EXPECT_THAT(error({{"\xff", zeros({1})}}), EndsWith("is no valid UTF-8"));
  EXPECT_THAT(error({}, {{"a", "\xff"}}), EndsWith("is no valid UTF-8"));
  EXPECT_THAT(error({}, {{"a", std::string(kLimit, 'x')}}),
              HasSubstr("expected at most 100000000"));
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(Safetensors, MisalignedTensorsAreCopiedAndReadRight) {
  const TempDir dir;
  std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.resize(header.size() / 8 * 8 + 8 + 3, ' ');  // old writers did not pad to 8
  const std::array<float, 2> values{1.5f, -2};
  std::string data(8, '\0');
  std::memcpy(data.data(), values.data(), 8);
  write(dir / "f", file_of(header) + data);
  const Tensor a = SafetensorsFile::open(dir / "f").tensors().at("a");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.raw()) % 4, 0u);
  EXPECT_EQ(values_of(a), (std::vector<float>{1.5f, -2}));
}

TEST(Safetensors, MisalignedEmptyTensorsAreFine) {
  const TempDir dir;
  write(dir / "f", file_of(R"({"a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}} )"));
  EXPECT_EQ(SafetensorsFile::open(dir / "f").tensors().at("a").numel(), 0);
}

TEST(Safetensors, MayHoldNoTensors) {
  EXPECT_EQ(parse(file_of("{}")).data_begin, 10u);
  EXPECT_EQ(parse(file_of("{\"__metadata__\":{}}      ")).tensors.size(), 0u);
  EXPECT_EQ(parse(file_of("{\"__metadata__\":null}")).metadata.size(), 0u);
}

TEST(Safetensors, RefusesFilesTooShortForALength) {
  const TempDir dir;
  for (std::size_t size = 0; size < 8; ++size) {
    write(dir / "f", std::string(size, '\0'));
    EXPECT_EQ(error_of([&] { return SafetensorsFile::open(dir / "f").tensors().size(); }),
              str((dir / "f").string(), ": has ", size, " bytes, too few for a safetensors file"));
  }
}

TEST(Safetensors, RefusesLengthsThatDoNotFit) {
  const std::uint64_t size = 8 + 2;
  EXPECT_EQ(error_in_file(file_of("{}", 0, 0)),
            "m.safetensors: the header does not start with {; is it a safetensors file?");
  EXPECT_THAT(error_in_file(file_of("{}", 0, 1)), StartsWith("m.safetensors: is no valid JSON: "));
  for (const std::uint64_t claimed : {size - 7, size - 1, size, size + 1, kLimit}) {
    EXPECT_EQ(error_in_file(file_of("{}", 0, claimed)),
              str("m.safetensors: the header claims ", claimed,
                  " bytes, but the file has only 10; was it downloaded completely?"));
  }
  for (const std::uint64_t claimed : {kLimit + 1, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    EXPECT_EQ(error_in_file(file_of("{}", 0, claimed)),
              str("m.safetensors: the header claims ", claimed,
                  " bytes, expected at most 100000000; is it a safetensors file?"));
  }
}

TEST(Safetensors, ReadsAHeaderWithoutTheData) {
  const std::string file = file_of(str("{", u8_entry("a", 0, 100), "}"));
  const auto bytes = std::as_bytes(std::span(file.data(), file.size()));
  EXPECT_EQ(parse_safetensors_header(bytes, file.size() + 100, "m").tensors.at(0).end, 100u);
  EXPECT_THAT(error_of([&] {
                return parse_safetensors_header(bytes.first(20), file.size() + 100, "m").data_begin;
              }),
              EndsWith("of which only 12 are at hand"));
}

TEST(Safetensors, RecognisesAGitLfsPointer) {
  EXPECT_THAT(error_in_file("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
              StartsWith("m.safetensors: is a Git LFS pointer"));
}

TEST(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  const std::string start =
      "m.safetensors: the header does not start with {; is it a safetensors file?";
  EXPECT_EQ(error_in("[]"), start);
  EXPECT_EQ(error_in(" {}"), start);
  EXPECT_EQ(error_in("\xef\xbb\xbf{}"), start);
  EXPECT_EQ(error_in(repeated("[", 100'000)), start);
  for (const std::string_view header :
       {"{", "{\"a\"}", "{}x", "{}{}", "{\"a\xff\":{}}", "{\"\\ud800\":{}}", "{'a':1}", "{,}"}) {
    SCOPED_TRACE(header);
    EXPECT_THAT(error_in(header), StartsWith("m.safetensors: is no valid JSON: "));
  }
  EXPECT_EQ(error_in(std::string_view("{}\0\0", 4)),
            "m.safetensors: is no valid JSON: a NUL character at byte 2");
}

TEST(Safetensors, RefusesDeepNesting) {
  EXPECT_EQ(error_in(str("{\"a\":") + repeated("[", 100'000)),
            "m.safetensors: tensor a is an array, expected an object");
  EXPECT_EQ(error_in(str("{\"a\":{\"shape\":") + repeated("[", 100'000)),
            "m.safetensors: tensor a has an array in its shape, expected integers from 0");
  EXPECT_EQ(error_in(str("{\"a\":{\"x\":") + repeated("[", 100'000)),
            "m.safetensors: the header is nested too deeply");
  EXPECT_EQ(error_in(str("{\"a\":{\"x\":") + repeated("{\"x\":", 100'000)),
            "m.safetensors: the header is nested too deeply");
}

TEST(Safetensors, SkipsUnknownKeysOfATensor) {
  const auto header = parse(file_of(
      R"({"a":{"x":{"dtype":[1,{"shape":null}]},"dtype":"U8","y":[[],{}],"shape":[1],"z":true,)"
      R"("data_offsets":[0,1],"w":1e3}})",
      1));
  EXPECT_EQ(header.tensors.at(0).shape, Shape{1});
}

TEST(Safetensors, RefusesDuplicateNames) {
  const std::string a = u8_entry("a", 0, 1);
  EXPECT_EQ(error_in(str("{", a, ",", u8_entry("a", 1, 2), "}"), 2),
            "m.safetensors: tensor a appears twice");
  EXPECT_EQ(error_in(str("{", a, ",", u8_entry("\\u0061", 1, 2), "}"), 2),
            "m.safetensors: tensor a appears twice");
  EXPECT_EQ(error_in(R"({"__metadata__":{},"__metadata__":{}})"),
            "m.safetensors: __metadata__ appears twice");
  EXPECT_EQ(error_in(R"({"__metadata__":{"k":"1","\u006b":"2"}})"),
            "m.safetensors: __metadata__ has the key k twice");
  EXPECT_EQ(error_in_tensor(R"("dtype":"U8","dtype":"U8")"),
            "m.safetensors: tensor a has the key dtype twice");
}

TEST(Safetensors, RefusesMetadataThatIsNoText) {
  EXPECT_EQ(error_in(R"({"__metadata__":3})"),
            "m.safetensors: __metadata__ is 3, expected an object");
  EXPECT_EQ(error_in(R"({"__metadata__":["a"]})"),
            "m.safetensors: __metadata__ is an array, expected an object");
  for (const auto& [value, found] : {std::pair{"3", "3"},
                                     {"true", "true"},
                                     {"null", "null"},
                                     {"{}", "an object"},
                                     {"[]", "an array"},
                                     {"-1", "-1"},
                                     {"1.5", "1.5"}}) {
    EXPECT_EQ(error_in(str(R"({"__metadata__":{"k":)", value, "}}")),
              str("m.safetensors: __metadata__ has ", found, " for the key k, expected text"));
  }
}

TEST(Safetensors, MetadataMayBeLargeButNotWithoutEnd) {
  const std::string large(50 << 20, 'x');
  EXPECT_EQ(parse(file_of(str("{\"__metadata__\":{\"k\":\"", large, "\"}}"))).metadata.at("k"),
            large);
  std::string many = "{\"__metadata__\":{\"-\":\"\"";
  for (int i = 0; i < 1 << 16; ++i) many += str(",\"", i, "\":\"\"");
  EXPECT_EQ(error_in(many + "}}"), "m.safetensors: __metadata__ has more than 65536 keys");
}

TEST(Safetensors, NumberOfTensorsIsLimited) {
  std::string many = str("{", u8_entry("-", 0, 0));
  for (int i = 0; i < 1 << 18; ++i) many += str(",", u8_entry(std::to_string(i), 0, 0));
  EXPECT_EQ(error_in(many + "}"), "m.safetensors: holds more than 262144 tensors");
}

TEST(Safetensors, NamesAreAnyText) {
  for (const std::string name : {"", "../../x", "/etc/passwd", "\xf0\x9f\x98\x80", "a b.c"}) {
    EXPECT_EQ(parse(file_of(str("{", u8_entry(name, 0, 1), "}"), 1)).tensors.at(0).name, name);
  }
  const std::string longest(1 << 20, 'n');
  EXPECT_EQ(parse(file_of(str("{", u8_entry(longest, 0, 1), "}"), 1)).tensors.at(0).name, longest);
  const std::string message = error_in(str("{", u8_entry(longest + "n", 0, 1), "}"), 1);
  EXPECT_THAT(message, EndsWith("is longer than 1048576 bytes"));
  EXPECT_LT(message.size(), 500u);
}

TEST(Safetensors, NamesInMessagesAreEscapedAndShort) {
  const std::string message =
      error_in(str("{\"a\\n\\u001b[31m", std::string(10'000, 'x'), "\":3}"));
  EXPECT_THAT(message, StartsWith("m.safetensors: tensor a\\x0a\\x1b[31mxxx"));
  EXPECT_LT(message.size(), 500u);
}

TEST(Safetensors, RefusesIncompleteTensors) {
  EXPECT_EQ(error_in(R"({"a":3})"), "m.safetensors: tensor a is 3, expected an object");
  EXPECT_EQ(error_in(R"({"a":null})"), "m.safetensors: tensor a is null, expected an object");
  EXPECT_EQ(error_in_tensor(""), "m.safetensors: tensor a has no dtype");
  EXPECT_EQ(error_in_tensor(R"("dtype":"F32","data_offsets":[0,0])"),
            "m.safetensors: tensor a has no shape");
  EXPECT_EQ(error_in_tensor(R"("dtype":"F32","shape":[0])"),
            "m.safetensors: tensor a has no data_offsets");
}

TEST(Safetensors, RefusesUnknownDtypes) {
  for (const std::string_view dtype : {"F4", "F6_E2M3", "C64", "f32", "", "FLOAT", "F8_E8M0"}) {
    EXPECT_EQ(
        error_in_tensor(str(R"("dtype":")", dtype, R"(","shape":[2],"data_offsets":[0,1])"), 1),
        str("m.safetensors: tensor a has the dtype ", dtype, ", which is not supported"));
  }
  EXPECT_EQ(error_in_tensor(R"("dtype":5)"),
            "m.safetensors: tensor a has the dtype 5, expected text");
  EXPECT_EQ(error_in_tensor(R"("dtype":["F32"])"),
            "m.safetensors: tensor a has the dtype an array, expected text");
}

TEST(Safetensors, RefusesShapesThatAreNoCounts) {
  for (const auto& [value, found] : {std::pair{"-1", "-1"},
                                     {"-0", "0"},
                                     {"1.0", "1.0"},
                                     {"1e3", "1e3"},
                                     {"true", "true"},
                                     {"null", "null"},
                                     {"\"2\"", "\"2\""},
                                     {"{}", "an object"},
                                     {"[2]", "an array"},
                                     {"18446744073709551616", "18446744073709551616"}}) {
    EXPECT_EQ(
        error_in_shape(str("[", value, "]"), 8),
        str("m.safetensors: tensor a has ", found, " in its shape, expected integers from 0"));
  }
  EXPECT_THAT(error_in_shape("[02]", 8), StartsWith("m.safetensors: is no valid JSON: "));
  EXPECT_EQ(error_in_shape("3"), "m.safetensors: tensor a has the shape 3, expected an array");
  EXPECT_EQ(error_in_shape("{}"),
            "m.safetensors: tensor a has the shape an object, expected an array");
  EXPECT_EQ(error_in_shape("[18446744073709551615]"),
            "m.safetensors: tensor a has 18446744073709551615 in its shape, expected at most "
            "9223372036854775807");
}

TEST(Safetensors, ShapesHaveUpTo8Axes) {
  EXPECT_EQ(
      parse(file_of(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,2,1],"data_offsets":[0,8]}})", 8))
          .tensors.at(0)
          .shape,
      (Shape{1, 1, 1, 1, 1, 1, 2, 1}));
  EXPECT_EQ(error_in_shape(str("[1", repeated(",1", 8), "]"), 4),
            "m.safetensors: tensor a has more than 8 axes");
  EXPECT_EQ(error_in_shape(str("[1", repeated(",1", 999), "]"), 4),
            "m.safetensors: tensor a has more than 8 axes");
}

TEST(Safetensors, RefusesSizesThatOverflow) {
  const std::string too_large = ", more than memory can address";
  EXPECT_THAT(error_in_shape("[4294967296,4294967296]"), EndsWith(too_large));
  EXPECT_THAT(error_in_shape("[2147483648,2147483648]"), EndsWith(too_large));  // times 4 bytes
  EXPECT_THAT(error_in_shape("[9223372036854775807]"), EndsWith(too_large));
  EXPECT_THAT(error_in_shape("[4294967296,4294967296,0]"), EndsWith(too_large));
  EXPECT_THAT(error_in_shape("[0,4294967296,4294967296]"), EndsWith(too_large));
  EXPECT_EQ(error_in_shape("[0,4294967296]"), "");
}

TEST(Safetensors, RefusesSizesThatDoNotFitTheShape) {
  EXPECT_EQ(
      error_in_shape("[3]", 8),
      "m.safetensors: tensor a is F32 [3], which takes 12 bytes, but its data_offsets span 8");
  EXPECT_EQ(
      error_in_shape("[2,0]", 8),
      "m.safetensors: tensor a is F32 [2, 0], which takes 0 bytes, but its data_offsets span 8");
  EXPECT_EQ(error_in_shape("[]", 4), "");
}

TEST(Safetensors, RefusesOffsetsThatAreNoPairOfCounts) {
  for (const auto& [value, found] : {std::pair{"-1", "-1"},
                                     {"0.0", "0.0"},
                                     {"1e3", "1e3"},
                                     {"null", "null"},
                                     {"\"0\"", "\"0\""}}) {
    EXPECT_EQ(error_in_offsets(str("[0,", value, "]")),
              str("m.safetensors: tensor a has ", found,
                  " in its data_offsets, expected integers from 0"));
  }
  EXPECT_EQ(error_in_offsets("[0]"), "m.safetensors: tensor a has 1 data_offsets, expected 2");
  EXPECT_EQ(error_in_offsets("[]"), "m.safetensors: tensor a has 0 data_offsets, expected 2");
  EXPECT_EQ(error_in_offsets("[0,8,8]"), "m.safetensors: tensor a has more than 2 data_offsets");
  EXPECT_EQ(error_in_offsets("8"),
            "m.safetensors: tensor a has the data_offsets 8, expected an array");
  EXPECT_EQ(
      error_in_offsets("[0,18446744073709551615]"),
      "m.safetensors: tensor a has 18446744073709551615 in its data_offsets, expected at most "
      "9223372036854775807");
}

TEST(Safetensors, RefusesLayoutsWithGapsOrOverlaps) {
  const auto error = [](std::initializer_list<std::pair<int, int>> offsets,
                        std::size_t data_bytes) {
    std::string header;
    char name = 'a';
    for (const auto& [begin, end] : offsets) {
      header += str(header.empty() ? "{" : ",", u8_entry(std::string(1, name++), begin, end));
    }
    return error_in(header + "}", data_bytes);
  };
  EXPECT_EQ(error({{0, 2}, {2, 5}}, 5), "");
  EXPECT_EQ(error({{2, 5}, {0, 2}}, 5), "");  // any order of the names
  EXPECT_EQ(error({{0, 2}, {2, 2}, {2, 2}, {2, 5}}, 5), "");
  EXPECT_EQ(
      error({{1, 2}}, 2),
      "m.safetensors: tensor a has data_offsets [1, 2], expected to begin at 0: tensors follow "
      "each other without gaps");
  EXPECT_THAT(error({{0, 2}, {3, 5}}, 5),
              HasSubstr("tensor b has data_offsets [3, 5], expected to"));
  EXPECT_THAT(error({{0, 3}, {2, 5}}, 5),
              HasSubstr("tensor b has data_offsets [2, 5], expected to"));
  EXPECT_THAT(error({{0, 3}, {0, 3}}, 3),
              HasSubstr("tensor b has data_offsets [0, 3], expected to"));
  EXPECT_THAT(error_in_offsets("[8,0]"),
              HasSubstr("has data_offsets [8, 0], expected to begin at 0"));
  EXPECT_THAT(error_in(str("{", u8_entry("a", 0, 4),
                           R"(,"b":{"dtype":"U8","shape":[0],"data_offsets":[4,2]}})"),
                       4),
              HasSubstr("tensor b has data_offsets [4, 2], expected to begin at 4"));
}

TEST(Safetensors, RefusesDataOfAnotherLength) {
  EXPECT_EQ(error_in_offsets("[0,8]", 7),
            "m.safetensors: has 7 bytes of tensor data, its header expects 8; was it downloaded "
            "completely?");
  EXPECT_EQ(error_in_offsets("[0,8]", 9),
            "m.safetensors: has 9 bytes of tensor data, its header expects 8");
  EXPECT_EQ(error_in("{}", 1), "m.safetensors: has 1 bytes of tensor data, its header expects 0");
}

TEST(Safetensors, OpenRefusesWhatIsNoFile) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  const auto error = [](const fs::path& path) {
    return error_of([&] { return SafetensorsFile::open(path).tensors().size(); });
  };
  EXPECT_THAT(error(dir / "pipe"), EndsWith("is a pipe, expected a regular file"));
  EXPECT_THAT(error(dir.path()), EndsWith("is a folder, expected a regular file"));
  EXPECT_THAT(error("/dev/zero"), EndsWith("is a device, expected a regular file"));
  EXPECT_THAT(error(dir / "none"), EndsWith("No such file or directory"));
}

TEST(Safetensors, TruncationWhileInUseIsNoticed) {
  const TempDir dir;
  save_safetensors(dir / "f", {{"a", random_normal({100'000}, Dtype::kF32, 1)}});
  const auto file = SafetensorsFile::open(dir / "f");
  fs::resize_file(dir / "f", 100);
  EXPECT_EQ(values_of(file.tensors().at("a")).back(), 0);
  EXPECT_THAT(error_of([&] { return file.file()->check_intact(), 0; }),
              HasSubstr("the file was truncated while in use"));
}

TEST(Safetensors, EveryMutationIsReadWithinBoundsOrRefused) {
  const std::string good = file_of(
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("b":{"dtype":"U8","shape":[],"data_offsets":[12,13]}} )",
      13);
  ASSERT_EQ(error_in_file(good), "");
  const std::size_t header_end = good.size() - 13;
  int accepted = 0;
  for (std::size_t i = 0; i < header_end; ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string mutated = good;
      mutated[i] = static_cast<char>(value);
      try {
        const SafetensorsHeader header = parse(mutated);
        for (const auto& entry : header.tensors) {
          ASSERT_LE(header.data_begin + entry.end, mutated.size());
          ASSERT_EQ(entry.shape.numel() * static_cast<std::int64_t>(size_of(entry.dtype)),
                    static_cast<std::int64_t>(entry.end - entry.begin));
        }
        ++accepted;
      } catch (const Error& error) {
        ASSERT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
      }
    }
  }
  EXPECT_GT(accepted, 0);  // other names, say
}

TEST(Safetensors, EveryCutIsRefused) {
  const TempDir dir;
  save_safetensors(dir / "f", {{"a", zeros({3})}, {"b", zeros({2}, Dtype::kU8)}}, {{"k", "v"}});
  for (auto size = static_cast<std::int64_t>(fs::file_size(dir / "f")) - 1; size >= 0; --size) {
    fs::resize_file(dir / "f", static_cast<std::uintmax_t>(size));
    EXPECT_NE(error_of([&] { return SafetensorsFile::open(dir / "f").tensors().size(); }), "")
        << size;
  }
}

}  // namespace
}  // namespace zimage
