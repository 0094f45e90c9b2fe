#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "core/check.h"
#include "io/json_sax.h"
#include "io/printable.h"
#include "io/safetensors.h"

namespace zimage {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference library
constexpr std::size_t kMaxNameBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxNesting = 64;
// Far beyond any model; they bound the memory that a hostile header can ask for.
constexpr std::size_t kMaxTensors = std::size_t{1} << 18;
constexpr std::size_t kMaxMetadata = std::size_t{1} << 16;

// Reads {"__metadata__": {text: text}, name: {"dtype": text, "shape": [int], "data_offsets": [int,
// int]}}. Keys of a tensor other than these three are skipped, as the reference library does.
class HeaderReader : public JsonSax {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& where)
      : JsonSax(where), header_(header), where_(where) {}

  bool null() {
    if (place_ == Place::kMetadataValue) {  // the same as none
      place_ = Place::kNames;
      return true;
    }
    return scalar([] { return "null"; });
  }
  bool boolean(bool value) {
    return scalar([&] { return value ? "true" : "false"; });
  }
  bool number_integer(std::int64_t value) {
    return scalar([&] { return str(value); });
  }
  bool number_float(double, const std::string& token) {
    return scalar([&] { return printable(token); });
  }
  bool number_unsigned(std::uint64_t value) {
    if (place_ != Place::kShape && place_ != Place::kOffsets) {
      return scalar([&] { return str(value); });
    }
    number(value);
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::kMetadata) {
      check(header_.metadata.size() < kMaxMetadata, where_, ": __metadata__ has more than ",
            kMaxMetadata, " keys");
      check(header_.metadata.try_emplace(key_, std::move(value)).second, where_,
            ": __metadata__ has the key ", printable(key_), " twice");
    } else if (place_ == Place::kField && field_ == Field::kDtype) {
      const std::optional<Dtype> dtype = dtype_from(value);
      check_tensor(dtype.has_value(), " has the dtype ", printable(value),
                   ", which is not supported");
      entry().dtype = *dtype;
      place_ = Place::kTensor;
    } else {
      return scalar([&] { return str('"', printable(value), '"'); });
    }
    return true;
  }

  bool start_object(std::size_t) {
    switch (place_) {
      case Place::kTop: place_ = Place::kNames; return true;
      case Place::kMetadataValue: place_ = Place::kMetadata; return true;
      case Place::kTensorValue: place_ = Place::kTensor; return true;
      default: return open("an object");
    }
  }

  bool start_array(std::size_t) {
    if (place_ == Place::kField && field_ == Field::kShape) {
      place_ = Place::kShape;
    } else if (place_ == Place::kField && field_ == Field::kOffsets) {
      place_ = Place::kOffsets;
    } else {
      return open("an array");
    }
    numbers_ = 0;
    return true;
  }

  bool key(std::string& key) {
    switch (place_) {
      case Place::kNames: name(key); break;
      case Place::kMetadata: key_ = std::move(key); break;
      case Place::kTensor: field(key); break;
      default: break;  // inside a skipped value
    }
    return true;
  }

  bool end_object() {
    switch (place_) {
      case Place::kTensor:
        finish_tensor();
        place_ = Place::kNames;
        break;
      case Place::kMetadata: place_ = Place::kNames; break;
      case Place::kNames: place_ = Place::kEnd; break;
      default: close(); break;
    }
    return true;
  }

  bool end_array() {
    if (place_ == Place::kShape) {
      entry().shape = Shape(std::span(values_).first(numbers_));
      place_ = Place::kTensor;
    } else if (place_ == Place::kOffsets) {
      check_tensor(numbers_ == 2, " has ", numbers_, " data_offsets, expected 2");
      entry().begin = static_cast<std::uint64_t>(values_[0]);
      entry().end = static_cast<std::uint64_t>(values_[1]);
      place_ = Place::kTensor;
    } else {
      close();
    }
    return true;
  }

 private:
  enum class Place {
    kTop,
    kNames,          // in the outermost object
    kMetadataValue,  // after "__metadata__":
    kMetadata,
    kTensorValue,  // after a tensor's name
    kTensor,
    kField,  // after a key of a tensor
    kShape,
    kOffsets,
    kSkip,
    kEnd,
  };
  enum class Field { kDtype, kShape, kOffsets, kOther };

  SafetensorsHeader::Entry& entry() { return header_.tensors.back(); }
  std::string tensor() { return str(where_, ": tensor ", printable(entry().name)); }
  template <class... Parts>
  void check_tensor(bool ok, const Parts&... parts) {
    if (!ok) throw Error(str(tensor(), parts...));
  }

  void name(std::string& name) {
    if (name == "__metadata__") {
      check(!has_metadata_, where_, ": __metadata__ appears twice");
      has_metadata_ = true;
      place_ = Place::kMetadataValue;
      return;
    }
    check(name.size() <= kMaxNameBytes, where_, ": the tensor name ", printable(name),
          " is longer than ", kMaxNameBytes, " bytes");
    check(header_.tensors.size() < kMaxTensors, where_, ": holds more than ", kMaxTensors,
          " tensors");
    header_.tensors.push_back({std::move(name), Dtype::kF32, {}, 0, 0});
    seen_ = {};
    place_ = Place::kTensorValue;
  }

  void field(const std::string& key) {
    place_ = Place::kField;
    field_ = Field::kOther;
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      if (key != kFields[i]) continue;
      check_tensor(!seen_[i], " has the key ", key, " twice");
      seen_[i] = true;
      field_ = static_cast<Field>(i);
    }
  }

  void finish_tensor() {
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      check_tensor(seen_[i], " has no ", kFields[i]);
    }
  }

  void number(std::uint64_t value) {
    const bool is_shape = place_ == Place::kShape;
    const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    check_tensor(value <= limit, " has ", value, " in its ", is_shape ? "shape" : "data_offsets",
                 ", expected at most ", limit);
    const std::size_t most = is_shape ? Shape::kMaxRank : 2;
    check_tensor(numbers_ < most, " has more than ", most, is_shape ? " axes" : " data_offsets");
    values_[numbers_++] = static_cast<std::int64_t>(value);
  }

  // A value that is neither an object, an array nor a valid member of one of ours; `found` makes
  // the words for it.
  template <class Found>
  bool scalar(const Found& found) {
    if (place_ == Place::kSkip) return true;
    if (place_ != Place::kField || field_ != Field::kOther) refuse(found());
    place_ = Place::kTensor;
    return true;
  }

  bool open(const char* found) {
    if (place_ != Place::kSkip) {
      if (place_ != Place::kField || field_ != Field::kOther) refuse(found);
      place_ = Place::kSkip;
    }
    check(++depth_ <= kMaxNesting, where_, ": the header is nested too deeply");
    return true;
  }

  void close() {
    if (--depth_ == 0) place_ = Place::kTensor;
  }

  [[noreturn]] void refuse(const std::string& found) {
    switch (place_) {
      case Place::kMetadataValue:
        throw Error(str(where_, ": __metadata__ is ", found, ", expected an object"));
      case Place::kMetadata:
        throw Error(str(where_, ": __metadata__ has ", found, " for the key ", printable(key_),
                        ", expected text"));
      case Place::kTensorValue: throw Error(str(tensor(), " is ", found, ", expected an object"));
      case Place::kField:
        throw Error(str(tensor(), " has the ", field_name(), " ", found,
                        field_ == Field::kDtype ? ", expected text" : ", expected an array"));
      case Place::kShape:
        throw Error(str(tensor(), " has ", found, " in its shape, expected integers from 0"));
      case Place::kOffsets:
        throw Error(
            str(tensor(), " has ", found, " in its data_offsets, expected integers from 0"));
      default: throw Error(str(where_, ": the header is ", found, ", expected an object"));
    }
  }

  std::string_view field_name() const { return kFields[static_cast<std::size_t>(field_)]; }

  static constexpr std::array<std::string_view, 3> kFields{"dtype", "shape", "data_offsets"};

  SafetensorsHeader& header_;
  const std::string& where_;
  Place place_ = Place::kTop;
  Field field_ = Field::kOther;
  std::string key_;  // of the metadata
  bool has_metadata_ = false;
  std::array<bool, kFields.size()> seen_{};
  std::array<std::int64_t, Shape::kMaxRank> values_{};
  std::size_t numbers_ = 0;
  std::size_t depth_ = 0;  // of skipped values
};

void check_unique_names(const SafetensorsHeader& header, const std::string& where) {
  std::vector<std::string_view> names;
  names.reserve(header.tensors.size());
  for (const auto& entry : header.tensors) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  check(twice == names.end(), where, ": tensor ", twice == names.end() ? "" : printable(*twice),
        " appears twice");
}

// Bytes of the tensor; none when they, or the product of the axes that are not 0, overflow.
std::optional<std::uint64_t> bytes_of(const SafetensorsHeader::Entry& entry) {
  std::int64_t bytes = static_cast<std::int64_t>(size_of(entry.dtype));
  bool is_empty = false;
  for (const std::int64_t dim : entry.shape.dims()) {
    is_empty |= dim == 0;
    if (dim != 0 && __builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return is_empty ? 0 : static_cast<std::uint64_t>(bytes);
}

void check_layout(SafetensorsHeader& header, std::uint64_t file_size, const std::string& where) {
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t end = 0;
  for (const auto& entry : header.tensors) {
    const auto tensor = [&] { return str(where, ": tensor ", printable(entry.name)); };
    if (entry.begin != end || entry.end < entry.begin) {
      throw Error(str(tensor(), " has data_offsets [", entry.begin, ", ", entry.end,
                      "], expected to begin at ", end, ": tensors follow each other without gaps"));
    }
    end = entry.end;
    const auto bytes = bytes_of(entry);
    if (!bytes) throw Error(str(tensor(), " is ", entry.shape, ", more than memory can address"));
    if (*bytes != entry.end - entry.begin) {
      throw Error(str(tensor(), " is ", entry.dtype, " ", entry.shape, ", which takes ", *bytes,
                      " bytes, but its data_offsets span ", entry.end - entry.begin));
    }
  }
  const std::uint64_t data_bytes = file_size - header.data_begin;
  check(end == data_bytes, where, ": has ", data_bytes,
        " bytes of tensor data, its header expects ", end,
        end > data_bytes ? "; was it downloaded completely?" : "");
}

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

std::string_view header_text(std::span<const std::byte> bytes, std::uint64_t file_size,
                             const std::string& where) {
  check(!starts_with(bytes, "version https://git-lfs"), where,
        ": is a Git LFS pointer, not the file itself; fetch it with git lfs pull");
  check(file_size >= 8 && bytes.size() >= 8, where, ": has ", file_size,
        " bytes, too few for a safetensors file");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  check(length <= kMaxHeaderBytes, where, ": the header claims ", length,
        " bytes, expected at most ", kMaxHeaderBytes, "; is it a safetensors file?");
  check(length <= file_size - 8, where, ": the header claims ", length,
        " bytes, but the file has only ", file_size, "; was it downloaded completely?");
  check(length <= bytes.size() - 8, where, ": the header has ", length, " bytes, of which only ",
        bytes.size() - 8, " are at hand");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  check(text.starts_with('{'), where,
        ": the header does not start with {; is it a safetensors file?");
  return text;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           std::uint64_t file_size, const std::string& where) {
  const std::string_view text = header_text(bytes, file_size, where);
  SafetensorsHeader header{};
  header.data_begin = 8 + text.size();
  HeaderReader reader(header, where);
  parse_json(text, reader, where);
  check_unique_names(header, where);
  check_layout(header, file_size, where);
  return header;
}

}  // namespace zimage
