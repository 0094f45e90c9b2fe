#include "io/gguf.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "gguf_writer.h"
#include "io/mapped_file.h"
#include "testing.h"

namespace zimage {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;

GgufHeader parse(std::string_view file) {
  return parse_gguf_header(std::as_bytes(std::span(file.data(), file.size())), "m.gguf");
}
std::string error_in(std::string_view file) {
  return error_of([&] { return parse(file).data_begin; });
}

// A file with one key, stated as these bytes after its name.
std::string error_in_key(std::string_view name, std::uint32_t type, const std::string& value) {
  GgufWriter writer;
  writer.key(name, type, value);
  return error_in(writer.file());
}

struct TensorInfo {
  std::vector<std::uint64_t> dims{32};  // as in the file: innermost first
  std::uint32_t type = 8;
  std::uint64_t offset = 0;
  std::string name = "a";
};
std::string info_bytes(const TensorInfo& info) {
  std::string bytes = gguf_text(info.name) + bytes_of(static_cast<std::uint32_t>(info.dims.size()));
  for (const std::uint64_t dim : info.dims) bytes += bytes_of(dim);
  return bytes + bytes_of(info.type) + bytes_of(info.offset);
}
std::string error_in_tensors(const std::vector<TensorInfo>& infos, std::size_t data_bytes = 256) {
  std::string file =
      "GGUF" + bytes_of(3u) + bytes_of(std::uint64_t{infos.size()}) + bytes_of(std::uint64_t{0});
  for (const TensorInfo& info : infos) file += info_bytes(info);
  file.resize((file.size() + 31) / 32 * 32 + data_bytes);
  return error_in(file);
}

GgufWriter sound() {
  GgufWriter writer;
  writer.text_key("general.architecture", "lumina2");
  writer.key("general.alignment", 4, bytes_of(32u));
  writer.key("list", 9, bytes_of(8u) + bytes_of(std::uint64_t{2}) + gguf_text("a") + gguf_text(""));
  writer.key("numbers", 9, bytes_of(5u) + bytes_of(std::uint64_t{3}) + std::string(12, '\1'));
  writer.key("flag", 7, bytes_of(std::uint8_t{1}));
  writer.key("float", 6, bytes_of(0.5f));
  writer.tensor("w", 8, {3, 64}, std::string(3 * 2 * 34, '\2'));
  writer.tensor("b", 0, {5}, std::string(20, '\3'));
  return writer;
}

TEST(Gguf, ReadsKeysAndTensors) {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufWriter writer = sound();
    writer.version = version;
    const std::string file = writer.file();
    const GgufHeader header = parse(file);
    EXPECT_EQ(header.metadata,
              (std::map<std::string, std::string>{{"general.architecture", "lumina2"},
                                                  {"general.alignment", "32"},
                                                  {"list", "[2 x text]"},
                                                  {"numbers", "[3 x i32]"},
                                                  {"flag", "true"},
                                                  {"float", "0.5"}}));
    ASSERT_EQ(header.tensors.size(), 2u);
    EXPECT_EQ(header.tensors[0].name, "w");
    EXPECT_EQ(header.tensors[0].type->name, "Q8_0");
    EXPECT_EQ(header.tensors[0].shape, (Shape{3, 64}));
    EXPECT_EQ(header.tensors[1].shape, Shape{5});
    EXPECT_EQ(file[header.data_begin + header.tensors[0].begin], '\2');
    EXPECT_EQ(file[header.data_begin + header.tensors[1].begin], '\3');
    EXPECT_EQ(header.tensors[0].end - header.tensors[0].begin, 204u);
    EXPECT_EQ(header.tensors[1].end - header.tensors[1].begin, 20u);
  }
}

TEST(Gguf, ReadsWhatTheReferencePackageWrote) {
  const auto file = MappedFile::open(test_data("gguf/reference.gguf"));
  const GgufHeader header = parse_gguf_header(file->bytes(), "reference.gguf");
  EXPECT_EQ(header.metadata.at("general.architecture"), "lumina2");
  EXPECT_EQ(header.metadata.at("words"), "[2 x text]");
  EXPECT_EQ(header.tensors.size(), 14u);
  for (const auto& entry : header.tensors) {
    EXPECT_EQ(entry.name, entry.type->name);
    EXPECT_EQ(entry.shape[0], 3);
  }
}

TEST(Gguf, HasGgmlsTypes) {
  EXPECT_EQ(gguf_type(14)->name, "Q6_K");
  EXPECT_EQ(gguf_type(14)->block_bytes, 210);
  for (const std::uint32_t removed : {4u, 5u, 31u, 36u, 1000000u, 0xffffffffu}) {
    EXPECT_EQ(gguf_type(removed), nullptr);
  }
}

TEST(Gguf, HonoursTheAlignment) {
  GgufWriter writer;
  writer.alignment = 256;
  writer.key("general.alignment", 4, bytes_of(256u));
  writer.tensor("a", 8, {32}, std::string(34, '\1'));
  writer.tensor("b", 8, {32}, std::string(34, '\2'));
  const GgufHeader header = parse(writer.file());
  EXPECT_EQ(header.data_begin % 256, 0u);
  EXPECT_EQ(header.tensors[1].begin, 256u);
}

TEST(Gguf, RefusesAnotherStart) {
  for (const std::string file : {"", "GGU", "GGML\3", "\0\0\0\0\0\0\0\0"}) {
    EXPECT_THAT(error_in(file), StartsWith("m.gguf: does not start with GGUF"));
  }
  const auto error = [](std::uint32_t version) {
    GgufWriter writer = sound();
    writer.version = version;
    return error_in(writer.file());
  };
  for (const std::uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    EXPECT_EQ(error(version), str("m.gguf: has the GGUF version ", version, ", expected 2 or 3"));
  }
  EXPECT_THAT(error(0x03000000u), HasSubstr("is a big-endian GGUF file"));
}

TEST(Gguf, RefusesCountsAndLengthsBeyondTheFile) {
  const auto counts = [](std::uint64_t tensors, std::uint64_t keys) {
    return error_in("GGUF" + bytes_of(3u) + bytes_of(tensors) + bytes_of(keys));
  };
  EXPECT_THAT(counts(kHuge, 0), HasSubstr("claims 9223372036854775808 tensors, expected at most"));
  EXPECT_THAT(counts(0, kHuge), HasSubstr("claims 9223372036854775808 keys, expected at most"));
  EXPECT_THAT(counts(1 << 18, 0), HasSubstr("the file ends within tensor 1 of 262144"));
  EXPECT_THAT(counts(0, 5), HasSubstr("the file ends within key 1 of 5"));
  EXPECT_THAT(error_in("GGUF" + bytes_of(3u) + bytes_of(std::uint64_t{0}) +
                       bytes_of(std::uint64_t{1}) + bytes_of(kHuge)),
              HasSubstr("key 1 of 1: its name claims 9223372036854775808 bytes"));
  EXPECT_THAT(error_in_key("k", 8, bytes_of(kHuge)),
              HasSubstr("key k: its text claims 9223372036854775808 bytes"));
  EXPECT_THAT(error_in_key(std::string(65536, 'x'), 4, bytes_of(1u)),
              HasSubstr("its name claims 65536 bytes, expected at most 65535"));
  const auto array = [](std::uint32_t type, std::uint64_t n, const std::string& elements) {
    return error_in_key("k", 9, bytes_of(type) + bytes_of(n) + elements);
  };
  EXPECT_THAT(array(4, kHuge, ""), HasSubstr("key k claims 9223372036854775808 elements"));
  EXPECT_THAT(array(12, (std::uint64_t{1} << 61) + 1, ""), HasSubstr("elements, expected at most"));
  EXPECT_THAT(array(8, 1, bytes_of(kHuge)), HasSubstr("key k: a text of it claims"));
}

TEST(Gguf, RefusesValuesThatItCannotRead) {
  EXPECT_EQ(error_in_key("k", 13, ""), "m.gguf: key k has the type of value 13, expected 0 to 12");
  EXPECT_THAT(error_in_key("k", 9, bytes_of(9u) + bytes_of(std::uint64_t{1})),
              HasSubstr("key k is an array of arrays"));
  EXPECT_THAT(error_in_key("k", 9, bytes_of(99u) + bytes_of(std::uint64_t{1})),
              HasSubstr("key k has the type of value 99"));
  EXPECT_THAT(error_in_key("k", 7, bytes_of(std::uint8_t{2})),
              HasSubstr("key k is the truth value 2"));
  EXPECT_THAT(error_in_key("k\n", 0xffffffffu, ""), HasSubstr("key k\\x0a has the type"));
}

TEST(Gguf, RefusesAnAlignmentThatIsNone) {
  for (const std::uint32_t value : {0u, 1u, 3u, 33u, 0x80000000u}) {
    EXPECT_EQ(
        error_in_key("general.alignment", 4, bytes_of(value)),
        str("m.gguf: general.alignment is ", value, ", expected a power of two from 8 to 65536"));
  }
  EXPECT_THAT(error_in_key("general.alignment", 10, bytes_of(std::uint64_t{32})),
              HasSubstr("general.alignment is u64, expected u32"));
  EXPECT_THAT(error_in_key("general.alignment", 9, bytes_of(4u) + bytes_of(std::uint64_t{0})),
              HasSubstr("general.alignment is array, expected u32"));
  EXPECT_THAT(error_in_key("general.alignment", 8, bytes_of(std::uint64_t{0})),
              HasSubstr("general.alignment is text, expected u32"));
}

TEST(Gguf, RefusesShapesThatAreNone) {
  const auto error = [](std::vector<std::uint64_t> dims, std::uint32_t type = 0) {
    return error_in_tensors({{.dims = std::move(dims), .type = type}});
  };
  EXPECT_THAT(error({}), HasSubstr("tensor a has 0 axes, expected 1 to 4"));
  EXPECT_THAT(error({1, 1, 1, 1, 1}), HasSubstr("tensor a has 5 axes"));
  EXPECT_THAT(error(std::vector<std::uint64_t>(255, 1)), HasSubstr("tensor a has 255 axes"));
  EXPECT_THAT(error({4, 0}), HasSubstr("tensor a has an axis of 0"));
  EXPECT_THAT(error({kHuge}), HasSubstr("tensor a has an axis of 9223372036854775808"));
  EXPECT_THAT(error({std::uint64_t{1} << 32, std::uint64_t{1} << 32}), HasSubstr("more numbers"));
  EXPECT_THAT(error({std::uint64_t{1} << 62}), HasSubstr("more bytes than memory can address"));
  EXPECT_THAT(error({33}, 8),
              HasSubstr("tensor a is Q8_0 [33], expected rows of a multiple of 32"));
  EXPECT_THAT(error({128, 2}, 12),
              HasSubstr("is Q4_K [2, 128], expected rows of a multiple of 256"));
}

TEST(Gguf, ATypeThatIsNotKnownTakesWhatIsLeftForIt) {
  for (const std::uint32_t type : {4u, 1000000u, 0xffffffffu}) {
    GgufWriter writer;
    writer.tensor("a", type, {3, 5}, std::string(40, '\1'));
    writer.tensor("b", 0, {5}, std::string(20, '\2'));
    writer.tensor("c", type, {7}, std::string(5, '\3'));
    const auto tensors = parse(writer.file()).tensors;
    ASSERT_EQ(tensors.size(), 3u);
    EXPECT_EQ(tensors[0].type, nullptr);
    EXPECT_EQ(tensors[0].type_id, type);
    EXPECT_EQ(tensors[0].shape, (Shape{3, 5}));
    EXPECT_EQ(tensors[0].end, 64u);
    EXPECT_EQ(tensors[1].end, 84u);
    EXPECT_EQ(tensors[2].begin, 96u);
    EXPECT_EQ(tensors[2].end, 128u);
    const TensorInfo info{.type = type, .offset = 256};
    EXPECT_THAT(error_in_tensors({info}), HasSubstr("tensor a ends at 257 of the data, but"));
    EXPECT_THAT(error_in_tensors({{.type = type}, {.type = type, .name = "b"}}),
                HasSubstr("overlap at 0"));
    EXPECT_THAT(error_in_tensors({{.type = type, .offset = 16}}), HasSubstr("begins at 16"));
  }
}

TEST(Gguf, RefusesDataOutOfPlace) {
  EXPECT_EQ(error_in_tensors({{.offset = 16}}),
            "m.gguf: tensor a begins at 16 of the data, expected a multiple of 32");
  EXPECT_EQ(error_in_tensors({{.offset = 256}}),
            "m.gguf: tensor a ends at 290 of the data, but the file has 256 bytes of it; was it "
            "downloaded completely?");
  EXPECT_THAT(error_in_tensors({{.offset = 0xffffffffffffffe0u}}), HasSubstr("more bytes than"));
  EXPECT_EQ(error_in_tensors({{}, {.offset = 32, .name = "b"}}),
            "m.gguf: tensors a and b overlap at 32 of the data");
  EXPECT_THAT(error_in_tensors({{}, {.name = "b"}}), HasSubstr("overlap at 0"));
  EXPECT_EQ(error_in_tensors({{}, {.offset = 64, .name = "b"}}), "");
}

TEST(Gguf, RefusesNamesThatAppearTwice) {
  EXPECT_EQ(error_in_tensors({{}, {.offset = 64}}), "m.gguf: tensor a appears twice");
  GgufWriter writer;
  writer.text_key("k", "1");
  writer.text_key("k", "2");
  EXPECT_EQ(error_in(writer.file()), "m.gguf: key k appears twice");
}

TEST(Gguf, SaysWhereAFileWasCutOff) {
  const std::string file = sound().file();
  for (std::size_t size = 4; size + 12 < file.size(); ++size) {  // 12 bytes of padding at the end
    EXPECT_THAT(error_in(file.substr(0, size)), AllOf(StartsWith("m.gguf: "), HasSubstr("e")))
        << size;
  }
}

// No byte of a header may lead to more than an error.
TEST(Gguf, SurvivesEveryChangeOfAByte) {
  const GgufWriter writer = sound();
  const std::string file = writer.file();
  const std::size_t header_bytes = writer.header().size();
  struct rusage before {
  }, after{};
  getrusage(RUSAGE_SELF, &before);
  for (std::size_t at = 0; at < header_bytes; ++at) {
    for (const int flipped : {1, 2, 4, 8, 16, 32, 64, 128, 255, 127}) {
      std::string changed = file;
      changed[at] ^= static_cast<char>(flipped);
      try {
        const GgufHeader header = parse(changed);
        for (const auto& entry : header.tensors) {
          ASSERT_LE(header.data_begin + entry.end, file.size());
        }
      } catch (const Error& error) {
        ASSERT_THAT(error.what(), StartsWith("m.gguf: "));
        ASSERT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
      }
    }
  }
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10);  // KiB
}

TEST(Gguf, SurvivesChangesOfSeveralBytes) {
  const GgufWriter writer = sound();
  const std::string file = writer.file();
  const std::size_t header_bytes = writer.header().size();
  std::mt19937 engine(1);
  for (int i = 0; i < 20000; ++i) {
    std::string changed = file;
    for (unsigned k = 0; k < 2 + engine() % 6; ++k) {
      changed[engine() % header_bytes] ^= static_cast<char>(1u << engine() % 8);
    }
    const std::string error = error_in(changed);
    ASSERT_TRUE(error.empty() || error.starts_with("m.gguf: ")) << error;
  }
}

}  // namespace
}  // namespace zimage
