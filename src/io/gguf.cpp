#include "io/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>

#include "core/check.h"
#include "io/printable.h"

namespace zimage {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr std::uint64_t kMaxNameBytes = 65535;  // of keys, by the format's description
constexpr std::uint64_t kMaxAxes = 4;
constexpr std::uint64_t kMaxAlignment = 65536;
// Far beyond any model; they bound the time and memory that a hostile header can ask for.
constexpr std::uint64_t kMaxTensors = std::uint64_t{1} << 18;
constexpr std::uint64_t kMaxKeys = std::uint64_t{1} << 16;
constexpr std::uint64_t kMaxTexts = std::uint64_t{1} << 24;  // in one array
constexpr std::size_t kMaxKeptBytes = 4096;                  // of a text; the rest is left out

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
};

// Types of values; their sizes, 0 where it is not fixed.
enum class Value : std::uint32_t { kBool = 7, kText = 8, kArray = 9 };
struct ValueType {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr ValueType kValueTypes[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},  {"u32", 4},
                                     {"i32", 4}, {"f32", 4}, {"bool", 1}, {"text", 0}, {"array", 0},
                                     {"u64", 8}, {"i64", 8}, {"f64", 8}};

// Reads the header from its start to its end.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  GgufHeader read() {
    read_start();
    const auto tensors = count("tensors", kMaxTensors);
    const auto keys = count("keys", kMaxKeys);
    for (std::uint64_t i = 0; i < keys; ++i) read_key(i, keys);
    header_.tensors.reserve(std::min<std::uint64_t>(tensors, left() / kLeastTensorBytes));
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor(i, tensors);
    header_.data_begin = (at_ + alignment_ - 1) / alignment_ * alignment_;
    check_names();
    check_layout();
    return std::move(header_);
  }

 private:
  static constexpr std::uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;

  std::uint64_t left() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t n, std::string_view what) {
    if (n > left()) {
      throw Error(str(where_, ": the file ends within ", place_, what, ", at byte ", bytes_.size(),
                      "; was it downloaded completely?"));
    }
    const auto part = bytes_.subspan(at_, n);
    at_ += n;
    return part;
  }

  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view text(std::string_view what, std::uint64_t most) {
    const auto length = number<std::uint64_t>(what);
    if (length > most || length > left()) {
      throw Error(str(where_, ": ", place_, what, " claims ", length, " bytes, expected at most ",
                      std::min(most, left())));
    }
    const auto part = take(length, what);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  void read_start() {
    place_ = "its start";
    check(is_gguf(bytes_), where_, ": does not start with GGUF; is it a .gguf file?");
    at_ = kMagic.size();
    const auto version = number<std::uint32_t>("");
    const bool is_big_endian = version != 0 && (version & 0xffffu) == 0;
    check(!is_big_endian, where_, ": is a big-endian GGUF file, expected a little-endian one");
    check(version == 2 || version == 3, where_, ": has the GGUF version ", version,
          ", expected 2 or 3");
  }

  std::uint64_t count(std::string_view what, std::uint64_t most) {
    const auto n = number<std::uint64_t>("");
    check(n <= most, where_, ": claims ", n, " ", what, ", expected at most ", most);
    return n;
  }

  void read_key(std::uint64_t i, std::uint64_t keys) {
    place_ = str("key ", i + 1, " of ", keys);
    const std::string key(text(": its name", kMaxNameBytes));
    place_ = str("key ", printable(key));
    is_alignment_ = key == kAlignmentKey;
    const auto type = number<std::uint32_t>("");
    std::string value = read_value(type);
    check(header_.metadata.emplace(key, std::move(value)).second, where_, ": ", place_,
          " appears twice");
  }

  const ValueType& value_type(std::uint32_t type) const {
    check(type < std::size(kValueTypes), where_, ": ", place_, " has the type of value ", type,
          ", expected 0 to ", std::size(kValueTypes) - 1);
    return kValueTypes[type];
  }

  std::string read_value(std::uint32_t type) {
    const ValueType& known = value_type(type);
    check(!is_alignment_ || known.name == "u32", where_, ": ", kAlignmentKey, " is ", known.name,
          ", expected u32");
    if (type == static_cast<std::uint32_t>(Value::kArray)) return read_array();
    if (type == static_cast<std::uint32_t>(Value::kText)) {
      return std::string(text(": its text", left()).substr(0, kMaxKeptBytes));
    }
    const std::size_t begin = at_;
    std::string value = read_number(type);
    if (is_alignment_) read_alignment(bytes_.subspan(begin), value);
    return value;
  }

  std::string read_number(std::uint32_t type) {
    switch (type) {
      case 0: return str(int{number<std::uint8_t>("")});
      case 1: return str(int{number<std::int8_t>("")});
      case 2: return str(number<std::uint16_t>(""));
      case 3: return str(number<std::int16_t>(""));
      case 4: return str(number<std::uint32_t>(""));
      case 5: return str(number<std::int32_t>(""));
      case 6: return str(number<float>(""));
      case static_cast<std::uint32_t>(Value::kBool): {
        const auto value = number<std::uint8_t>("");
        check(value <= 1, where_, ": ", place_, " is the truth value ", int{value},
              ", expected 0 or 1");
        return value == 1 ? "true" : "false";
      }
      case 10: return str(number<std::uint64_t>(""));
      case 11: return str(number<std::int64_t>(""));
      default: return str(number<double>(""));
    }
  }

  void read_alignment(std::span<const std::byte> bytes, const std::string& text) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    check(std::has_single_bit(value) && 8 <= value && value <= kMaxAlignment, where_, ": ",
          kAlignmentKey, " is ", text, ", expected a power of two from 8 to ", kMaxAlignment);
    alignment_ = value;
  }

  std::string read_array() {
    const auto type = number<std::uint32_t>("");
    const ValueType& element = value_type(type);
    const auto n = number<std::uint64_t>("");
    check(type != static_cast<std::uint32_t>(Value::kArray), where_, ": ", place_,
          " is an array of arrays, which no model needs");
    const bool is_text = type == static_cast<std::uint32_t>(Value::kText);
    const std::uint64_t least = is_text ? sizeof(std::uint64_t) : element.bytes;
    const std::uint64_t most = is_text ? std::min(kMaxTexts, left() / least) : left() / least;
    check(n <= most, where_, ": ", place_, " claims ", n, " elements, expected at most ", most);
    if (is_text) {
      for (std::uint64_t i = 0; i < n; ++i) text(": a text of it", left());
    } else {
      take(n * element.bytes, "");
    }
    return str("[", n, " x ", element.name, "]");
  }

  void read_tensor(std::uint64_t i, std::uint64_t tensors) {
    place_ = str("tensor ", i + 1, " of ", tensors);
    GgufHeader::Entry entry{std::string(text(": its name", kMaxNameBytes)), 0, nullptr, {}, 0, 0};
    place_ = str("tensor ", printable(entry.name));
    entry.shape = read_shape();
    entry.type_id = number<std::uint32_t>("");
    entry.type = gguf_type(entry.type_id);
    entry.begin = number<std::uint64_t>("");
    entry.end = end_of(entry);
    header_.tensors.push_back(std::move(entry));
  }

  Shape read_shape() {
    const auto axes = number<std::uint32_t>("");
    check(1 <= axes && axes <= kMaxAxes, where_, ": ", place_, " has ", axes,
          " axes, expected 1 to ", kMaxAxes);
    std::array<std::int64_t, kMaxAxes> dims{};
    std::int64_t numel = 1;
    for (std::uint32_t i = 0; i < axes; ++i) {
      const auto dim = number<std::uint64_t>("");
      const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      check(1 <= dim && dim <= most, where_, ": ", place_, " has an axis of ", dim,
            ", expected 1 to ", most);
      dims[axes - 1 - i] = static_cast<std::int64_t>(dim);
      check(!__builtin_mul_overflow(numel, static_cast<std::int64_t>(dim), &numel), where_, ": ",
            place_, " has more numbers than memory can address");
    }
    return Shape(std::span(dims).first(axes));
  }

  std::uint64_t end_of(const GgufHeader::Entry& entry) const {
    check(entry.begin % alignment_ == 0, where_, ": ", place_, " begins at ", entry.begin,
          " of the data, expected a multiple of ", alignment_);
    if (entry.type == nullptr) return entry.begin + 1;  // at least; more once all are read
    const GgufType& type = *entry.type;
    check(entry.shape[-1] % type.block_size == 0, where_, ": ", place_, " is ", type.name, " ",
          entry.shape, ", expected rows of a multiple of ", type.block_size);
    std::int64_t bytes = entry.shape.numel() / type.block_size;
    std::uint64_t end = 0;
    check(!__builtin_mul_overflow(bytes, type.block_bytes, &bytes) &&
              !__builtin_add_overflow(static_cast<std::uint64_t>(bytes), entry.begin, &end),
          where_, ": ", place_, " has more bytes than memory can address");
    return end;
  }

  void check_names() const {
    std::vector<std::string_view> names;
    names.reserve(header_.tensors.size());
    for (const auto& entry : header_.tensors) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) {
      throw Error(str(where_, ": tensor ", printable(*twice), " appears twice"));
    }
  }

  void check_layout() {
    std::sort(header_.tensors.begin(), header_.tensors.end(),
              [](const auto& a, const auto& b) { return a.begin < b.begin; });
    const std::uint64_t size = bytes_.size();
    const std::uint64_t data = size > header_.data_begin ? size - header_.data_begin : 0;
    const GgufHeader::Entry* before = nullptr;
    for (const auto& entry : header_.tensors) {
      if (before != nullptr && entry.begin < before->end) {
        throw Error(str(where_, ": tensors ", printable(before->name), " and ",
                        printable(entry.name), " overlap at ", entry.begin, " of the data"));
      }
      if (entry.end > data) {
        throw Error(str(where_, ": tensor ", printable(entry.name), " ends at ", entry.end,
                        " of the data, but the file has ", data,
                        " bytes of it; was it downloaded completely?"));
      }
      before = &entry;
    }
    std::uint64_t next = data;
    for (auto entry = header_.tensors.rbegin(); entry != header_.tensors.rend(); ++entry) {
      if (entry->type == nullptr) entry->end = next;
      next = entry->begin;
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::uint64_t at_ = 0;
  std::uint64_t alignment_ = 32;
  std::string place_;  // what is being read, for messages
  bool is_alignment_ = false;
  GgufHeader header_{};
};

}  // namespace

const GgufType* gguf_type(std::uint32_t id) {
  const auto* const it = std::find_if(std::begin(kTypes), std::end(kTypes),
                                      [&](const GgufType& type) { return type.id == id; });
  return it == std::end(kTypes) ? nullptr : it;
}

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

GgufHeader parse_gguf_header(std::span<const std::byte> bytes, const std::string& where) {
  return Reader(bytes, where).read();
}

}  // namespace zimage
